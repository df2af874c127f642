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

import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from models.scenarios import proc_files
from models.scenarios.programs import first_process
from receiver.cli.processes import program, running
from receiver.errors import ConfigurationError, Unavailable

GROUPS = Path("/sys/fs/cgroup")
CONTROLLERS = ("cpu", "cpuacct", "memory", "blkio")
QUOTA_CPUS = 0.15  # all that a node can take of this machine, whatever happens to it
QUOTA_PERIOD_US = 100_000
# All nodes together weigh half of what a process outside of them does, where CPUs are short.
SHARES = 512
MEMORY_BYTES = 384 << 20
DISK_BYTES = 1 << 30
EXPORTER_PORT = 9100
VISITORS_ADDRESS, ATTACKER_ADDRESS = 2, 3
OUTSIDE_QUOTAS = 3  # of a node's, for each machine outside: several nodes are visited and attacked at a time
FIRST_NODE_ADDRESS = 11
SETTLE_SECONDS = 20.0
POLL_SECONDS = 0.1
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
        return _grouped([f"cpu/{self.group}"], ["ip", "netns", "exec", self.namespace, *command])


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
        return _grouped(groups, [*enter, "--", *command])


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
        prefix, subnet = stack.enter_context(_bridge())
        parent = f"nodescore-{prefix}"
        for controller in CONTROLLERS:
            stack.enter_context(_group(controller, parent))
        _set(f"cpu/{parent}", "cpu.shares", SHARES)
        groups = {name: f"{parent}/{name}" for name in names}
        devices = {}
        for name, group in groups.items():
            for controller in CONTROLLERS:
                stack.enter_context(_group(controller, group))
            stack.enter_context(_group("cpu", f"{group}/work"))
            _limit(f"{group}/work")
            _set(f"memory/{group}", "memory.limit_in_bytes", MEMORY_BYTES)
            devices[name] = stack.enter_context(_root(folder / name))
        lxcfs = stack.enter_context(_lxcfs(folder))
        specs = [
            proc_files.Spec(name, group, QUOTA_CPUS, devices[name], str(folder / name / "forks"))
            for name, group in groups.items()
        ]
        files = stack.enter_context(_proc_files(folder, specs))
        nodes = []
        for number, (name, group) in enumerate(groups.items()):
            place = (f"{prefix}n{number}", f"{subnet}.{FIRST_NODE_ADDRESS + number}")
            stack.enter_context(_namespace(prefix, *place))
            pid = stack.enter_context(_first_process(folder / name, group, place[0], lxcfs, files / name))
            nodes.append(Node(name, place[1], group, pid))
        visitors = Outside(f"{prefix}v", f"{subnet}.{VISITORS_ADDRESS}", f"{parent}/visitors")
        attacker = Outside(f"{prefix}a", f"{subnet}.{ATTACKER_ADDRESS}", f"{parent}/attacker")
        for outside in (visitors, attacker):
            stack.enter_context(_group("cpu", outside.group))
            _limit(outside.group, OUTSIDE_QUOTAS)
            stack.enter_context(_namespace(prefix, outside.namespace, outside.address))
        yield Cluster(tuple(nodes), visitors, attacker)


def _check() -> None:
    if os.geteuid() != 0:
        raise ConfigurationError("nodes on this machine are made by root only")
    missing = [controller for controller in CONTROLLERS if not (GROUPS / controller / "cgroup.procs").exists()]
    if missing:
        raise ConfigurationError(f"{GROUPS} has no controllers of version 1 for {', '.join(missing)}; mount them")
    for name in NEEDED:
        program(name)


def _grouped(groups: Sequence[str], command: Sequence[str]) -> list[str]:
    """`command`, run in these control groups."""
    files = " ".join(str(GROUPS / group / "cgroup.procs") for group in groups)
    return ["sh", "-c", f'for file in {files}; do echo $$ > $file; done; exec "$@"', "sh", *command]


@contextmanager
def _group(controller: str, name: str) -> Iterator[None]:
    path = GROUPS / controller / name
    path.mkdir()
    try:
        yield
    finally:
        _until(path.rmdir, f"{path} still has processes")


def _limit(group: str, times: float = 1) -> None:
    _set(f"cpu/{group}", "cpu.cfs_period_us", QUOTA_PERIOD_US)
    _set(f"cpu/{group}", "cpu.cfs_quota_us", round(times * QUOTA_CPUS * QUOTA_PERIOD_US))


def _set(group: str, file: str, value: int) -> None:
    (GROUPS / group / file).write_text(str(value))


@contextmanager
def _bridge() -> Iterator[tuple[str, str]]:
    """A bridge; a prefix for names that nobody else has on this machine, and the first three bytes of addresses."""
    with (Path(tempfile.gettempdir()) / "nodescore-scenarios.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the kernel gives one address to two bridges
        used = _run("ip", "-4", "-oneline", "address")
        # The upper half: the tests' networks begin below.
        number = next(number for number in range(128, 256) if f" 10.77.{number}." not in used)
        prefix, subnet = f"sc{number}", f"10.77.{number}"
        _run("ip", "link", "add", f"cni{prefix}", "type", "bridge")
        _run("ip", "address", "add", f"{subnet}.1/24", "dev", f"cni{prefix}")
    try:
        _run("ip", "link", "set", f"cni{prefix}", "up")
        yield prefix, subnet
    finally:
        _run("ip", "link", "delete", f"cni{prefix}")


@contextmanager
def _namespace(prefix: str, name: str, address: str) -> Iterator[None]:
    _run("ip", "netns", "add", name)
    try:
        _run("ip", "-n", name, "link", "set", "lo", "up")
        # Born in the namespace: its name never meets the machine's own eth0.
        _run("ip", "link", "add", f"veth{name}", "type", "veth", "peer", "name", "eth0", "netns", name)
        _run("ip", "link", "set", f"veth{name}", "master", f"cni{prefix}", "up")
        _run("ip", "-n", name, "address", "add", f"{address}/24", "dev", "eth0")
        # A packet a segment, as a wire carries it: a veth would hand on 64 KB at once and count 1.
        _run("ip", "-n", name, "link", "set", "eth0", "gso_max_segs", "1", "up")
        yield
    finally:
        _run("ip", "netns", "delete", name)  # and with it the pair of interfaces


@contextmanager
def _root(folder: Path) -> Iterator[str]:
    """Make `folder`/root, a root folder on a disk of its own; the name of the disk's device."""
    disk, root = folder / "disk", folder / "root"
    for path in (disk, root):
        path.mkdir(parents=True)
    with (folder / "disk.img").open("wb") as image:
        image.truncate(DISK_BYTES)
    _run("mkfs.ext4", "-q", "-F", str(folder / "disk.img"))
    _run("mount", "-o", "loop", str(folder / "disk.img"), str(disk))
    try:
        device = _run("findmnt", "--noheadings", "--output=SOURCE", str(disk)).strip().removeprefix("/dev/")
        (disk / "upper").mkdir()
        (disk / "work").mkdir()
        layers = f"lowerdir=/,upperdir={disk}/upper,workdir={disk}/work"
        _run("mount", "-t", "overlay", "overlay", "-o", layers, str(root))
        try:
            yield device
        finally:
            _until(lambda: _run("umount", str(root)), f"{root} is in use")
    finally:
        _until(lambda: _run("umount", str(disk)), f"{disk} is in use")


@contextmanager
def _lxcfs(folder: Path) -> Iterator[Path]:
    mounted = folder / "lxcfs"
    mounted.mkdir()
    command = [program("lxcfs"), "-f", "-l", "-u", "-p", str(folder / "lxcfs.pid"), str(mounted)]
    with _mounted("lxcfs", command, mounted, mounted / "proc" / "meminfo"):
        yield mounted


@contextmanager
def _proc_files(folder: Path, specs: Sequence[proc_files.Spec]) -> Iterator[Path]:
    mounted = folder / "proc-files"
    mounted.mkdir()
    arguments = [str(mounted), json.dumps([asdict(spec) for spec in specs])]
    command = [sys.executable, proc_files.__file__, *arguments]
    with _mounted("proc_files", command, mounted, mounted / specs[0].name / "diskstats"):
        yield mounted


@contextmanager
def _mounted(name: str, command: Sequence[str], mounted: Path, shows: Path) -> Iterator[None]:
    """A FUSE file system, from when a file shows until it is ended."""
    with running(name, command, mounted.with_suffix(".log")) as server:
        try:
            while not shows.exists():
                server.check()
                time.sleep(POLL_SECONDS)
            yield
        finally:
            with suppress(RuntimeError):  # it may have unmounted itself
                _run("umount", "--lazy", str(mounted))


@contextmanager
def _first_process(folder: Path, group: str, namespace: str, lxcfs: Path, files: Path) -> Iterator[int]:
    """Start the process that holds the node's namespaces; its PID, once it is set up."""
    enter = ["ip", "netns", "exec", namespace]
    enter += ["unshare", "--pid", "--mount", "--fork", "--kill-child", "--propagation=private"]
    address = folder / "forks"
    first = [sys.executable, "-IS", first_process.__file__, folder / "root", address, lxcfs, files]
    command = _grouped([f"{controller}/{group}" for controller in CONTROLLERS], [*enter, *map(str, first)])
    with running(f"node {folder.name}", command, folder / "first_process.log") as unshare:
        give_up = time.monotonic() + SETTLE_SECONDS
        while not (files / "stat").exists() or not _answers(files / "stat"):
            unshare.check()
            if time.monotonic() > give_up:
                raise Unavailable(f"node {folder.name} does not start; its log: {unshare.log}")
            time.sleep(POLL_SECONDS)
        outer = unshare.process.pid
        (pid,) = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
        wanted = (folder / "root").stat().st_ino
        while Path(f"/proc/{pid}/root").stat().st_ino != wanted:  # it listens before it moves in
            unshare.check()
            time.sleep(POLL_SECONDS)
        try:
            yield int(pid)
        finally:
            os.kill(int(pid), signal.SIGKILL)  # and with it all of the node; unshare ends when it has gone


def _answers(stat: Path) -> bool:
    try:
        return bool(stat.read_text())
    except OSError:
        return False


def _until(done: Callable[[], object], what: str) -> None:
    """Call until it succeeds: processes that were killed take a moment to go."""
    give_up = time.monotonic() + SETTLE_SECONDS
    while True:
        try:
            done()
            return
        except (OSError, RuntimeError) as error:
            if time.monotonic() > give_up:
                raise Unavailable(f"{what}: {error}") from None
            time.sleep(POLL_SECONDS)


def _run(*command: str) -> str:
    """Run a command; its output, or RuntimeError with its complaint."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
