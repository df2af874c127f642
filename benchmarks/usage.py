"""What the kernel says that a process has used so far: CPU time and memory, of all its threads."""

from __future__ import annotations

import os
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def children_cpu_seconds(pid: int) -> float:
    """User and system time of a process, its children that run, and those that it has waited for."""
    total = 0.0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:  # it has ended meanwhile
            continue
        if folder.name == str(pid):
            total += sum(int(ticks) for ticks in fields[11:15])
        elif fields[1] == str(pid):
            total += int(fields[11]) + int(fields[12])
    return total / TICKS_PER_SECOND


def peak_memory_bytes(pid: int) -> int:
    """The most that was resident."""
    return _memory_bytes(pid, "VmHWM:")


def memory_bytes(pid: int) -> int:
    """What is resident now."""
    return _memory_bytes(pid, "VmRSS:")


def _memory_bytes(pid: int, field: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(status.split(field)[1].split()[0])
