"""Files of /proc as one node's own, where the kernel has only the machine's: a FUSE file system, a folder a node.

In: a mount point and, for each node, its control group, its disk and the socket of its first process. Out, until it
is unmounted, computed when a file is opened:
  NODE/stat       CPU seconds of the node's group against its quota; forks counted by its PID namespace
  NODE/vmstat     page faults of its memory group
  NODE/diskstats  its loop device, by the name of `DISK_NAME`
  NODE/file-nr    open descriptors of its processes
lxcfs does the like for memory and load, but shows the machine's forks, faults and disks to everybody, and a node that
has used its whole quota as nearly idle. Run as a program, by its path: it imports nothing of ours.
Costs under 1 ms an opened file.
"""

from __future__ import annotations

import errno
import itertools
import json
import re
import socket
import stat
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mfusepy as fuse

DISK_NAME = "sda"
TICKS_PER_SECOND = 100  # USER_HZ, the unit of /proc/stat, on every architecture that node_exporter knows
NANOSECONDS = 1e9
ANSWER_SECONDS = 5.0
FIRST_PID_OF_A_TURN = 300  # where the kernel goes on after the highest PID


def stat_text(machine: str, user_seconds: float, system_seconds: float, idle_seconds: float, forks: int) -> str:
    """The machine's /proc/stat with one CPU, the node's, and the node's forks; interrupts stay the machine's."""
    ticks = [round(seconds * TICKS_PER_SECOND) for seconds in (user_seconds, 0, system_seconds, idle_seconds)]
    times = " ".join(map(str, [*ticks, 0, 0, 0, 0, 0, 0]))
    rest = [line for line in machine.splitlines() if not line.startswith("cpu")]
    rest = [f"processes {forks}" if line.startswith("processes ") else line for line in rest]
    return "\n".join([f"cpu  {times}", f"cpu0 {times}", *rest, ""])


def vmstat_text(memory_stat: str) -> str:
    """The faults in a memory group's `memory.stat`, children included, as /proc/vmstat names them."""
    counts = dict(line.split() for line in memory_stat.splitlines())
    return "".join(f"{name} {counts[f'total_{name}']}\n" for name in ("pgfault", "pgmajfault", "pgpgin", "pgpgout"))


def diskstats_text(machine: str, device: str) -> str:
    """The line of one device, under another name."""
    (line,) = [line for line in machine.splitlines() if line.split()[2] == device]
    return "   8       0 " + " ".join([DISK_NAME, *line.split()[3:]]) + "\n"


class Ever:
    """The sum of a counter that wraps: each value is at most one turn ahead of the last."""

    def __init__(self, turn: int) -> None:
        self.total = 0
        self._last = 0
        self._turn = turn

    def add(self, value: int) -> int:
        """Take the counter's value; the sum of all that it has risen."""
        self.total += (value - self._last) % self._turn
        self._last = value
        return self.total


@dataclass(frozen=True)
class Spec:
    """What the files of a node are made of."""

    name: str
    group: str  # its control group, relative to each controller's root
    quota_cpus: float
    device: str  # its disk, like loop3
    forks_socket: str  # answers a connection with the number that the node's last process has


class NodeFiles:
    """The files of one node."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._until = time.monotonic()
        self._busy_seconds = 0.0
        self._idle_seconds = 0.0
        self._forks = Ever(int(Path("/proc/sys/kernel/pid_max").read_text()) - FIRST_PID_OF_A_TURN)
        self.files: dict[str, Callable[[], str]] = {
            "stat": self._stat,
            "vmstat": lambda: vmstat_text(self._group("memory", "memory.stat")),
            "diskstats": lambda: diskstats_text(Path("/proc/diskstats").read_text(), spec.device),
            "file-nr": lambda: f"{self._open_files()}\t0\t{2**63 - 1}\n",
        }

    def _group(self, controller: str, file: str) -> str:
        return (Path("/sys/fs/cgroup") / controller / self._spec.group / file).read_text()

    def _stat(self) -> str:
        # A quota of a quarter is a CPU of a quarter's speed: busy all the time when the quota is used up.
        scale = 1 / self._spec.quota_cpus / NANOSECONDS
        user = int(self._group("cpuacct", "cpuacct.usage_user")) * scale
        system = int(self._group("cpuacct", "cpuacct.usage_sys")) * scale
        now = time.monotonic()
        # A quota is kept on the average of a second or so, and the exporter works outside of it: more may be used
        # than was to be had. That is no debt, which a later second would have to pay.
        self._idle_seconds += max(0.0, now - self._until - (user + system - self._busy_seconds))
        self._until, self._busy_seconds = now, user + system
        return stat_text(Path("/proc/stat").read_text(), user, system, self._idle_seconds, self._count_forks())

    def _count_forks(self) -> int:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(ANSWER_SECONDS)
            asking.connect(self._spec.forks_socket)
            return self._forks.add(int(asking.recv(64)))

    def _open_files(self) -> int:
        count = 0
        for pid in self._group("cpuacct", "cgroup.procs").split():
            try:
                count += sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
            except OSError:  # it has ended meanwhile
                continue
        return count


class ProcFiles(fuse.Operations):  # type: ignore[misc]
    """The file system: a folder a node; a file's text is made when it is opened, and read from then."""

    use_ns = True

    def __init__(self, nodes: dict[str, NodeFiles]) -> None:
        self._nodes = nodes
        self._opened: dict[int, bytes] = {}
        self._handles = itertools.count(1)

    def _find(self, path: str) -> Callable[[], str] | None:
        """The maker of a file, None for a folder."""
        if path == "/" or path[1:] in self._nodes:
            return None
        found = re.fullmatch("/([^/]+)/([^/]+)", path)
        files = self._nodes[found[1]].files if found and found[1] in self._nodes else {}
        if found is None or found[2] not in files:
            raise fuse.FuseOSError(errno.ENOENT)
        return files[found[2]]

    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:  # noqa: ARG002
        """What `stat` says; sizes are unknown before a file is opened, as in /proc."""
        if self._find(path) is None:
            return {"st_mode": stat.S_IFDIR | 0o555, "st_nlink": 2}
        return {"st_mode": stat.S_IFREG | 0o444, "st_nlink": 1}

    def readdir(self, path: str, fh: int) -> list[str]:  # noqa: ARG002
        """The names in a folder."""
        inside = self._nodes if path == "/" else self._nodes[path[1:]].files
        return [".", "..", *inside]

    def open(self, path: str, flags: int) -> int:  # noqa: ARG002
        """Make the text, and remember it until it is closed."""
        make = self._find(path)
        if make is None:
            raise fuse.FuseOSError(errno.EISDIR)
        handle = next(self._handles)
        self._opened[handle] = make().encode()
        return handle

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:  # noqa: ARG002
        """A part of the text."""
        return self._opened[fh][offset : offset + size]

    def release(self, path: str, fh: int) -> int:  # noqa: ARG002
        """Forget the text."""
        self._opened.pop(fh, None)
        return 0


def main() -> None:
    """`proc_files.py MOUNTPOINT SPECS`, SPECS as JSON; returns when it is unmounted or terminated."""
    specs = [Spec(**fields) for fields in json.loads(sys.argv[2])]
    nodes = {spec.name: NodeFiles(spec) for spec in specs}
    fuse.FUSE(ProcFiles(nodes), sys.argv[1], foreground=True, nothreads=True, direct_io=True, allow_other=True)


if __name__ == "__main__":
    main()
