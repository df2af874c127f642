"""Nodes that work: what runs in and beside them, whoever records or tests them.

In: a `Cluster`, a folder for logs, a seed. `at_work` has a node_exporter and its level's services, a web server among
them, in each node, visitors and the sinks of back-ups and uploads outside; `busy` has each node do its jobs, one after
the other, until its end. Raises `ConfigurationError` where a program is missing, `Unavailable` where one does not
start. Costs some 3 s a node.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from models.scenarios import work
from models.scenarios.attacks import POOL_PORT, SINK_PORT
from models.scenarios.level import NODES, Level
from models.scenarios.node import EXPORTER_PORT, Cluster, Node
from models.scenarios.programs import sink, visitors
from receiver.cli.processes import Running, program, running

EXPORTER = ("prometheus-node-exporter", "node_exporter")
# An overlay is a node's root here, and is left out by default.
KERNELS_OWN = "autofs|bpf|cgroup2?|debugfs|devpts|devtmpfs|fuse.*|mqueue|nsfs|proc|sysfs|tmpfs|tracefs"
# Those of the features, so that an exporter costs its node little.
COLLECTORS = (
    *("cpu", "diskstats", "filefd", "filesystem", "loadavg", "meminfo"),
    *("netdev", "netstat", "sockstat", "stat", "tcpstat", "vmstat"),
)
PREPARE_SECONDS = 120
JOB_POLL_SECONDS = 0.5


def exporter_of(one: Node) -> str:
    """The address at which a node is scraped."""
    return f"{one.address}:{EXPORTER_PORT}"


@contextmanager
def at_work(cluster: Cluster, place: Path, seed: int, level: Level = NODES) -> Iterator[list[Running]]:
    """All of it, ready; what must live as long as its user."""
    with ExitStack() as stack:
        alive: list[Running] = []

        def start(name: str, command: Sequence[str]) -> Running:
            alive.append(stack.enter_context(running(name, command, place / f"{name}.log")))
            return alive[-1]

        for one in cluster.nodes:
            prepare = one.argv("sh", "-c", work.PREPARE, within_quota=False)
            given = work.web_configuration(level.web_port).encode()
            subprocess.run(prepare, input=given, check=True, timeout=PREPARE_SECONDS)  # noqa: S603 - ours
            exporter = start(f"exporter-{one.name}", one.argv(*_exporter(one), within_quota=False))
            exporter.await_ok(f"http://{exporter_of(one)}/metrics")
            for service in level.services(one):
                for path, text in service.files.items():
                    write = one.argv("sh", "-c", 'cat > "$0"', path, within_quota=False)
                    subprocess.run(write, input=text.encode(), check=True, timeout=PREPARE_SECONDS)  # noqa: S603 - ours
                started = start(f"{service.name}-{one.name}", one.argv(*service.command))
                started.await_ok(service.url)
                if service.attacked:
                    alive.remove(started)
        for outside in (cluster.visitors, cluster.attacker):
            take = [sys.executable, "-IS", sink.__file__, outside.address, str(SINK_PORT), str(POOL_PORT)]
            start(f"sink-{outside.namespace}", outside.argv(*take))
        visit = [sys.executable, "-IS", visitors.__file__, _sites(cluster, seed, level), str(seed)]
        start("visitors", cluster.visitors.argv(*visit))
        yield alive


@contextmanager
def busy(cluster: Cluster, seed: int, level: Level = NODES) -> Iterator[None]:
    """The nodes' jobs, by the seed; those that still run at the end are ended."""
    stop = threading.Event()
    workers = [
        threading.Thread(target=_work, args=(one, work.role_of(number, level.roles), cluster, stop, f"{seed}-{number}"))
        for number, one in enumerate(cluster.nodes)
    ]
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        stop.set()
        for worker in workers:
            worker.join()


def start_quietly(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """A command whose output nobody reads."""
    nothing = subprocess.DEVNULL
    return subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing)  # noqa: S603 - ours, bounded


def _exporter(one: Node) -> list[str]:
    collectors = [f"--collector.{name}" for name in COLLECTORS]
    listen = f"--web.listen-address={exporter_of(one)}"
    types = f"--collector.filesystem.fs-types-exclude=^({KERNELS_OWN})$"
    return [program(*EXPORTER), listen, "--collector.disable-defaults", types, *collectors]


def _sites(cluster: Cluster, seed: int, level: Level) -> str:
    chance = random.Random(seed)  # noqa: S311 - the same days shall come out again
    return json.dumps(
        [
            {
                "address": one.address,
                "per_second": work.role_of(number, level.roles).visits_per_second * chance.uniform(0.6, 1.4),
                "phase": chance.random(),
            }
            for number, one in enumerate(cluster.nodes)
        ]
    )


def _work(one: Node, role: work.Role, cluster: Cluster, stop: threading.Event, seed: str) -> None:
    for pause_seconds, job in work.jobs(role, cluster.visitors.address, seed):
        if stop.wait(pause_seconds):
            return
        # A job that fails while its node is under attack is what happens.
        under_way = start_quietly(one.argv(*job.command))
        while under_way.poll() is None:
            if stop.wait(JOB_POLL_SECONDS):
                under_way.kill()  # what it started goes with the node
