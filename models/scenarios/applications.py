"""Nodes as applications or pods: each node is one, with a Caddy before its web server and the rules that a cluster has.

In a cluster, rules bring what cAdvisor, kube-state-metrics and an application say of it under one name. Here the node's
own control group, network and processes are the application's, so its node_exporter, a process-exporter and Caddy say
the same things. The web server is started again when it ends, as a container is. A pod is the same with less to do.
Out: `APPLICATIONS` and `PODS`, each a `Level`. Needs `caddy` and `prometheus-process-exporter`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from models.scenarios import attacks, work
from models.scenarios.attacks import CRASH_LOOP, WEB_PORT, Command, Kind, bounded
from models.scenarios.level import Level, Service
from models.scenarios.node import Node, Outside
from receiver.cli.processes import program

BEHIND_PORT, CADDY_PORT, PROCESSES_PORT = 8080, 2019, 9256
RESTART_SECONDS = 2
CADDY_FILE, GROUPS_FILE = "/srv/caddy.json", "/srv/processes.yml"

CADDY = {
    "admin": {"disabled": True},
    "apps": {
        "http": {
            "servers": {
                "web": {
                    "listen": [f":{WEB_PORT}"],
                    "automatic_https": {"disable": True},
                    "metrics": {},
                    "routes": [
                        {
                            "handle": [
                                {
                                    "handler": "reverse_proxy",
                                    "upstreams": [{"dial": f"127.0.0.1:{BEHIND_PORT}"}],
                                }
                            ]
                        }
                    ],
                },
                "metrics": {
                    "listen": [f":{CADDY_PORT}"],
                    "automatic_https": {"disable": True},
                    "routes": [{"handle": [{"handler": "metrics"}]}],
                },
            }
        }
    },
}
GROUPS = {"process_names": [{"name": "web", "comm": ["nginx"]}, {"name": "other", "cmdline": [".+"]}]}

PROXIED = '{server="web",handler="reverse_proxy"}'
RULES = {
    "application:cpu_seconds:rate1m": 'sum by (application) (rate(node_cpu_seconds_total{mode=~"user|system"}[1m]))',
    "application:memory_working_set_bytes:sum": (
        "sum by (application) (node_memory_MemTotal_bytes - node_memory_MemAvailable_bytes)"
    ),
    "application:major_page_faults:rate1m": "sum by (application) (rate(node_vmstat_pgmajfault[1m]))",
    "application:fs_read_bytes:rate1m": "sum by (application) (rate(node_disk_read_bytes_total[1m]))",
    "application:fs_written_bytes:rate1m": "sum by (application) (rate(node_disk_written_bytes_total[1m]))",
    "application:network_received_bytes:rate1m": (
        'sum by (application) (rate(node_network_receive_bytes_total{device="eth0"}[1m]))'
    ),
    "application:network_transmitted_bytes:rate1m": (
        'sum by (application) (rate(node_network_transmit_bytes_total{device="eth0"}[1m]))'
    ),
    "application:processes:sum": "sum by (application) (namedprocess_namegroup_num_procs)",
    "application:threads:sum": "sum by (application) (namedprocess_namegroup_num_threads)",
    "application:open_file_descriptors:sum": "sum by (application) (namedprocess_namegroup_open_filedesc)",
    "application:restarts:rate5m": (
        'sum by (application) (changes(namedprocess_namegroup_oldest_start_time_seconds{groupname="web"}[5m])) / 300'
    ),
    "application:http_requests:rate1m": f"sum by (application) (rate(caddy_http_requests_total{PROXIED}[1m]))",
    "application:http_errors:ratio_rate1m": (
        f"(sum by (application) (rate(caddy_http_request_errors_total{PROXIED}[1m])) or "
        f"0 * sum by (application) (rate(caddy_http_requests_total{PROXIED}[1m]))) "
        f"/ (sum by (application) (rate(caddy_http_requests_total{PROXIED}[1m])) > 0)"
    ),
    "application:http_request_seconds:mean1m": (
        f"sum by (application) (rate(caddy_http_request_duration_seconds_sum{PROXIED}[1m])) "
        f"/ (sum by (application) (rate(caddy_http_request_duration_seconds_count{PROXIED}[1m])) > 0)"
    ),
}


def _services(one: Node) -> Sequence[Service]:
    def at(port: int) -> str:
        return f"{one.address}:{port}"

    again = f'while :; do "$@"; sleep {RESTART_SECONDS}; done'
    return [
        Service("web", ["sh", "-c", again, "sh", *work.web_server()], f"http://{at(BEHIND_PORT)}/page0", attacked=True),
        Service(
            "caddy",
            [program("caddy"), "run", "--config", CADDY_FILE],
            f"http://{at(WEB_PORT)}/page0",
            scraped=at(CADDY_PORT),
            attacked=True,
            files={CADDY_FILE: json.dumps(CADDY)},
        ),
        Service(
            "processes",
            [
                program("prometheus-process-exporter", "process-exporter"),
                f"--config.path={GROUPS_FILE}",
                f"--web.listen-address={at(PROCESSES_PORT)}",
            ],
            f"http://{at(PROCESSES_PORT)}/metrics",
            scraped=at(PROCESSES_PORT),
            files={GROUPS_FILE: json.dumps(GROUPS)},
        ),
    ]


def _crashes(node: Node, _: Outside, per_minute: float, seconds: int) -> Sequence[Command]:
    loop = 'while :; do pkill -KILL -x nginx; sleep "$0"; done'
    return [node.argv(*bounded(seconds, "sh", "-c", loop, f"{60 / per_minute:.3f}"))]


# The web server's container dies, instead of a process that nothing depends on.
CRASHING = Kind(
    name=CRASH_LOOP.name,
    says="the web server is killed as often as it is started",
    unit="crashes a minute",
    strengths=(4, 8, 16, 30),
    seconds=CRASH_LOOP.seconds,
    moves=("restarts", "http_errors"),
    tools=("pkill",),
    commands=_crashes,
)
MOVES = {
    "cpu-stress": ("cpu_cores",),
    "cryptojacking": ("cpu_cores",),
    "port-scan": ("net_receive",),
    "network-dos": ("net_receive", "net_transmit"),
    "application-dos": ("http_requests", "http_seconds", "net_receive", "net_transmit", "cpu_cores"),
    "mixed-dos": ("http_requests", "http_seconds", "net_receive", "net_transmit", "cpu_cores"),
    "crash-loop": CRASHING.moves,
    "exfiltration": ("net_transmit", "disk_read"),
}
AS_ON_NODES = {name: replace(kind, moves=MOVES[name]) for name, kind in attacks.KINDS.items()}
APPLICATIONS = Level(
    "application", "application", AS_ON_NODES | {CRASHING.name: CRASHING}, BEHIND_PORT, _services, RULES, work.ROLES
)
RULES_OF_PODS = {
    record.replace("application:", "pod:"): expression.replace("(application)", "(namespaced_pod)")
    for record, expression in RULES.items()
}
PODS = replace(APPLICATIONS, catalogue="pod", label="namespaced_pod", rules=RULES_OF_PODS, roles=work.ROLES_OF_PODS)
