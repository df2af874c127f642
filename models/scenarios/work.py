"""The normal work of a node: builds, a database, cron jobs, back-ups, a deployment now and then, and a web server.

In: a node, its role and a seed. Out: `prepare` fills the node's disk with what its work needs; `web_server` is the
command of its web server; `jobs` gives, by chance, the pause before a job and the job, for ever. A job ends by
itself or is ended after `JOB_SECONDS`. Roles differ in what they do often; every node does everything at times.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from models.scenarios.attacks import SINK_PORT, UPLOAD_BYTES, UPLOAD_FILE
from models.scenarios.programs import sockets

JOB_SECONDS = 90
HOLD = f"{sys.executable} -IS {sockets.__file__}"
HELD_SECONDS = 40
PAGES = 8
PAGE_BYTES = 20_000
LARGE_BYTES = 3_000_000

# Compressing makes a page cost the CPU something, as a page that is computed does.
NGINX_CONFIGURATION = """
daemon off; worker_processes 1; pid /srv/nginx.pid; error_log /srv/error.log crit;
events { worker_connections 256; }
http { access_log /srv/access.log; gzip on; gzip_types *; gzip_comp_level 4; gzip_min_length 0; gzip_proxied any;
  server { listen %d; root /srv/www; } }
"""

PREPARE = f"""
set -e
mkdir -p /srv/www /srv/build /srv/release/DEBIAN /srv/release/opt/app
cat > /srv/nginx.conf
for i in $(seq 0 {PAGES - 1}); do
  head -c {PAGE_BYTES // 2} /dev/urandom | base64 | head -c {PAGE_BYTES} > /srv/www/page$i
done
head -c {LARGE_BYTES} /dev/urandom > /srv/www/large
head -c {UPLOAD_BYTES} /dev/zero > {UPLOAD_FILE}
cp -r /usr/share/doc/[a-c]* /srv/release/opt/app/
printf 'Package: app\\nVersion: 1\\nArchitecture: all\\nMaintainer: nobody\\nDescription: an app\\n' \\
  > /srv/release/DEBIAN/control
dpkg-deb -Zgzip -z1 --build /srv/release /srv/app.deb > /dev/null
sqlite3 /srv/orders.db 'pragma journal_mode=wal; create table orders(id integer primary key, customer, amount, at)' \\
  > /dev/null
"""

# $0 is a size from 1 to 10, $1 the address that back-ups go to.
JOBS: dict[str, str] = {
    "build": """
        cd /srv/build; rm -f *
        for i in $(seq $(($0 * 6))); do
          for j in $(seq 40); do
            echo "double f${i}_$j(double x){double s=0;for(int k=0;k<$j;k++)s+=x*k/(k+$i);return s;}"
          done > m$i.c
          gcc -O2 -c m$i.c
        done
        ld -r -o all.o m*.o""",
    "database": """
        sqlite3 -cmd '.timeout 2000' /srv/orders.db "
          with recursive n(i) as (select 1 union all select i+1 from n where i < $0*3000)
          insert into orders(customer, amount, at) select abs(random()) % 500, abs(random()) % 10000, i from n;
          select customer, sum(amount) from orders group by customer order by 2 desc limit 10;
          delete from orders where id < (select max(id) - 40000 from orders);" > /dev/null""",
    "orders": """
        for i in $(seq $(($0 * 6))); do
          sqlite3 -cmd '.timeout 2000' /srv/orders.db "insert into orders(customer, amount, at) values($i, $i, $i)"
          sleep 0.3
        done""",
    "cron": """
        find /srv /etc -newer /srv/nginx.conf -name '*.log' > /tmp/found; df > /tmp/df; ps ax > /tmp/ps
        if [ "$(stat -c %s /srv/access.log)" -gt 300000 ]; then
          mv /srv/access.log /srv/access.log.1; nginx -p /srv -c /srv/nginx.conf -s reopen; gzip -f /srv/access.log.1
        fi
        rm -rf /tmp/found /tmp/df /tmp/ps""",
    "report": """
        awk '{n[$9]++} END {for (k in n) print k, n[k]}' /srv/access.log > /srv/report
        sort -k7 /srv/access.log | tail -n 50 >> /srv/report""",
    "backup": f"""
        sqlite3 /srv/orders.db 'pragma wal_checkpoint' > /dev/null
        tar cf - /srv/orders.db /srv/release /srv/www 2> /dev/null | gzip -1 |
          curl -s -o /dev/null --limit-rate "$(($0 * 300))k" -T - "http://$1:{SINK_PORT}/backup" """,
    "deployment": """
        rm -rf /srv/deployed; dpkg-deb -x /srv/app.deb /srv/deployed; sync -f /srv
        find /srv/deployed -type f | head -n 300 | xargs md5sum > /srv/deployed.md5
        nginx -p /srv -c /srv/nginx.conf -s reload""",
}
UNFAMILIAR_JOBS: dict[str, str] = {
    # A resolver starts, and binds a socket for each query that it may have under way.
    "resolver": f'{HOLD} udp 127.0.0.1 0 "$(($0 * 80))" {HELD_SECONDS}',
    # A pool of connections to a service elsewhere is filled before it is needed.
    "pool": f'{HOLD} tcp "$1" {SINK_PORT} "$(($0 * 20))" {HELD_SECONDS}',
    "tests": """
        for i in $(seq $(($0 * 60))); do
          sh -c 'test -d /srv/www && test -f /srv/www/large'
          sleep 0.05
        done""",
    "analysis": """
        sqlite3 :memory: "
          create table visits(visitor, amount);
          with recursive n(i) as (select 1 union all select i+1 from n where i < $0*400000)
          insert into visits select abs(random()) % 50000, i from n;
          select visitor, count(*), sum(amount) from visits group by visitor order by 3 desc limit 10;" > /dev/null""",
}


@dataclass(frozen=True)
class Role:
    """What a node is for."""

    visits_per_second: float
    pause_seconds: float  # between jobs, on an average
    weights: Mapping[str, float]  # how often it does what


ROLES: Mapping[str, Role] = {
    "web": Role(
        8, 25, {"cron": 4, "report": 3, "orders": 2, "backup": 1, "deployment": 1.5, "build": 0.3, "database": 1}
    ),
    "database": Role(2, 10, {"database": 5, "orders": 5, "cron": 2, "backup": 2, "report": 0.5, "deployment": 0.5}),
    "build": Role(1, 15, {"build": 8, "cron": 2, "deployment": 1.5, "backup": 1, "database": 0.5}),
}
UNFAMILIAR_ROLES: Mapping[str, Role] = {
    "web": replace(ROLES["web"], weights={**ROLES["web"].weights, "pool": 2, "resolver": 1}),
    "database": replace(ROLES["database"], weights={**ROLES["database"].weights, "analysis": 2, "pool": 1}),
    "build": replace(ROLES["build"], weights={**ROLES["build"].weights, "tests": 2, "resolver": 1}),
}
# A pod does one thing: builds run in others, and a deployment makes a new one. Many do next to nothing.
ROLES_OF_PODS: Mapping[str, Role] = {
    "web": Role(8, 25, {"cron": 4, "report": 3}),
    "database": Role(2, 10, {"database": 5, "orders": 5, "backup": 1}),
    "idle": Role(0.3, 60, {"cron": 1}),
}


@dataclass(frozen=True)
class Job:
    """A piece of work."""

    name: str
    command: list[str]


def role_of(number: int, roles: Mapping[str, Role]) -> Role:
    """The role of the n-th node: all in turn."""
    return list(roles.values())[number % len(roles)]


def web_configuration(port: int) -> str:
    """The file that `PREPARE` reads from its input: a web server that listens there."""
    return NGINX_CONFIGURATION % port


def web_server() -> list[str]:
    """The command of a node's web server; it stays in the foreground."""
    return ["nginx", "-p", "/srv", "-c", "/srv/nginx.conf"]


def jobs(role: Role, backup_address: str, seed: str) -> Iterator[tuple[float, Job]]:
    """Pauses in seconds, each with the job that follows it, for ever."""
    chance = random.Random(seed)  # noqa: S311 - the same work shall come out again
    commands = JOBS | UNFAMILIAR_JOBS
    names, weights = list(role.weights), list(role.weights.values())
    while True:
        (name,) = chance.choices(names, weights)
        size = str(chance.choice((1, 1, 2, 2, 3, 4, 6, 10)))
        command = ["timeout", "--kill-after=2", str(JOB_SECONDS), "sh", "-c", commands[name], size, backup_address]
        yield chance.expovariate(1 / role.pause_seconds), Job(name, command)
