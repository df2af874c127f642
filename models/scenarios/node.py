"""Nodes on this machine that have their own CPU, memory, load, disk, network and processes.

In: Linux with control groups v1, root, lxcfs, and names. Out: a `Cluster`: for each name a `Node`, and two `Outside`,
machines of the same network: one from which visitors come, one from which attackers do. A node is
  a PID, mount and network namespace, with an `eth0` on a bridge of 10.77.0.0/16 that leads nowhere else;
  an ext4 of its own on a loop device, over which and the machine's root folder an overlay is its root;
  a control group for CPU seconds, memory and disk, its work below it with a CPU quota;
  a /proc whose memory and load are lxcfs's, and whose CPU, forks, faults, disk and open files `proc_files` makes.
What stays the machine's: interrupts, and the kernel's totals of sockets and their memory.
Everything is taken down on leaving. Raises `ConfigurationError` where something is missing, `Unavailable` where it
does not start. Costs some 2 s and 30 MB of memory a node.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from models.scenarios import proc_files
from models.scenarios.isolation import (
    GROUPS,
    bridge,
    group,
    grouped,
    mounted,
    namespace,
    root_folder,
    set_value,
    wait_for,
)
from models.scenarios.programs import first_process
from receiver.cli.processes import program, running
from receiver.errors import ConfigurationError

CONTROLLERS = ("cpu", "cpuacct", "memory", "blkio")
QUOTA_CPUS = 0.15  # all that a node can take of this machine, whatever happens to it
QUOTA_PERIOD_US = 100_000
# All nodes together weigh half of what a process outside of them does, where CPUs are short.
SHARES = 512
MEMORY_BYTES = 384 << 20
EXPORTER_PORT = 9100
VISITORS_ADDRESS, ATTACKER_ADDRESS = 2, 3
OUTSIDE_QUOTAS = 3  # of a node's, for each machine outside: several nodes are visited and attacked at a time
FIRST_NODE_ADDRESS = 11
# Features that only the machine as a whole has, whatever a node does: interrupts, and the kernel's totals of sockets.
OF_THE_MACHINE = ("intr", "tcp_sock_alloc", "tcp_sock_mem", "udp_sock_mem")
NEEDED = ("ip", "lxcfs", "nsenter", "unshare", "mkfs.ext4", "losetup")


@dataclass(frozen=True)
class Outside:
    """A namespace with an address on the bridge, and nothing else of its own but a CPU quota."""

    namespace: str
    address: str
    group: str

    def argv(self, *command: str) -> list[str]:
        """`command`, to be run there."""
        return grouped([f"cpu/{self.group}"], ["ip", "netns", "exec", self.namespace, *command])


@dataclass(frozen=True)
class Node:
    """A node that runs."""

    name: str
    address: str
    group: str
    pid: int  # of its first process, seen from the machine

    def argv(self, *command: str, within_quota: bool = True) -> list[str]:
        """`command`, to be run in the node. What keeps a node alive stands outside of the quota of its work."""
        groups = [f"{controller}/{self.group}" for controller in CONTROLLERS[1:]]
        groups.append(f"cpu/{self.group}/work" if within_quota else f"cpu/{self.group}")
        enter = ["nsenter", f"--target={self.pid}", "--net", "--pid", "--mount", "--root", "--wd"]
        return grouped(groups, [*enter, "--", *command])


@dataclass(frozen=True)
class Cluster:
    """The nodes, and the machines outside of them."""

    nodes: tuple[Node, ...]
    visitors: Outside
    attacker: Outside


@contextmanager
def cluster(names: Sequence[str], folder: Path) -> Iterator[Cluster]:
    """Nodes of these names, up until the end; their disks and logs lie in `folder`."""
    _check()
    with ExitStack() as stack:
        prefix, subnet = stack.enter_context(bridge())
        parent = f"nodescore-{prefix}"
        for controller in CONTROLLERS:
            stack.enter_context(group(controller, parent))
        set_value(f"cpu/{parent}", "cpu.shares", SHARES)
        groups = {name: f"{parent}/{name}" for name in names}
        devices = {}
        for name, own in groups.items():
            for controller in CONTROLLERS:
                stack.enter_context(group(controller, own))
            stack.enter_context(group("cpu", f"{own}/work"))
            _limit(f"{own}/work")
            set_value(f"memory/{own}", "memory.limit_in_bytes", MEMORY_BYTES)
            devices[name] = stack.enter_context(root_folder(folder / name))
        lxcfs = stack.enter_context(_lxcfs(folder))
        specs = [
            proc_files.Spec(name, own, QUOTA_CPUS, devices[name], str(folder / name / "forks"))
            for name, own in groups.items()
        ]
        files = stack.enter_context(_proc_files(folder, specs))
        nodes = []
        for number, (name, own) in enumerate(groups.items()):
            place = (f"{prefix}n{number}", f"{subnet}.{FIRST_NODE_ADDRESS + number}")
            stack.enter_context(namespace(prefix, *place))
            pid = stack.enter_context(_first_process(folder / name, own, place[0], lxcfs, files / name))
            nodes.append(Node(name, place[1], own, pid))
        visitors = Outside(f"{prefix}v", f"{subnet}.{VISITORS_ADDRESS}", f"{parent}/visitors")
        attacker = Outside(f"{prefix}a", f"{subnet}.{ATTACKER_ADDRESS}", f"{parent}/attacker")
        for outside in (visitors, attacker):
            stack.enter_context(group("cpu", outside.group))
            _limit(outside.group, OUTSIDE_QUOTAS)
            stack.enter_context(namespace(prefix, outside.namespace, outside.address))
        yield Cluster(tuple(nodes), visitors, attacker)


def _limit(name: str, times: float = 1) -> None:
    set_value(f"cpu/{name}", "cpu.cfs_period_us", QUOTA_PERIOD_US)
    set_value(f"cpu/{name}", "cpu.cfs_quota_us", round(times * QUOTA_CPUS * QUOTA_PERIOD_US))


def _check() -> None:
    if os.geteuid() != 0:
        raise ConfigurationError("nodes on this machine are made by root only")
    missing = [controller for controller in CONTROLLERS if not (GROUPS / controller / "cgroup.procs").exists()]
    if missing:
        raise ConfigurationError(f"{GROUPS} has no controllers of version 1 for {', '.join(missing)}; mount them")
    for name in NEEDED:
        program(name)


@contextmanager
def _lxcfs(folder: Path) -> Iterator[Path]:
    place = folder / "lxcfs"
    place.mkdir()
    command = [program("lxcfs"), "-f", "-l", "-u", "-p", str(folder / "lxcfs.pid"), str(place)]
    with mounted("lxcfs", command, place, place / "proc" / "meminfo"):
        yield place


@contextmanager
def _proc_files(folder: Path, specs: Sequence[proc_files.Spec]) -> Iterator[Path]:
    place = folder / "proc-files"
    place.mkdir()
    arguments = [str(place), json.dumps([asdict(spec) for spec in specs])]
    command = [sys.executable, proc_files.__file__, *arguments]
    with mounted("proc_files", command, place, place / specs[0].name / "diskstats"):
        yield place


@contextmanager
def _first_process(folder: Path, own: str, network: str, lxcfs: Path, files: Path) -> Iterator[int]:
    """Start the process that holds the node's namespaces; its PID, once it is set up."""
    enter = ["ip", "netns", "exec", network]
    enter += ["unshare", "--pid", "--mount", "--fork", "--kill-child", "--propagation=private"]
    address = folder / "forks"
    first = [sys.executable, "-IS", first_process.__file__, folder / "root", address, lxcfs, files]
    command = grouped([f"{controller}/{own}" for controller in CONTROLLERS], [*enter, *map(str, first)])
    with running(f"node {folder.name}", command, folder / "first_process.log") as unshare:
        wait_for(lambda: _answers(files / "stat"), unshare)
        outer = unshare.process.pid
        (pid,) = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
        wanted = (folder / "root").stat().st_ino
        wait_for(lambda: Path(f"/proc/{pid}/root").stat().st_ino == wanted, unshare)  # it listens before it moves in
        try:
            yield int(pid)
        finally:
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)  # and with it all of the node; unshare ends when it has gone


def _answers(stat: Path) -> bool:
    try:
        return bool(stat.read_text())
    except OSError:
        return False
