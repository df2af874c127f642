"""The service's clock is set, forwards and back, while it runs.

A library of ours (clock_offset.c) stands between the service and the kernel's clock: the process sees its clock jump,
as after `date -s`, and nobody else does. A time namespace would not do: it has no CLOCK_REALTIME.
"""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
from pathlib import Path

from tests.faults.load import Load, Outcome

# In the order in which they happen, seconds from the true time. None is further back than the ten minutes by which a
# sample may lie in the future: one that is further ahead is refused with 400, and rightly so.
BACK_SECONDS = (-1, -10, -30, -120, -300, -590)
SOURCE = Path(__file__).with_name("clock_offset.c")


class Clock:
    """The difference of a service's clock from ours; LookupError where there is no C compiler."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            raise LookupError("no C compiler (cc) on the PATH")
        library, offset = folder / "clock_offset.so", folder / "clock_offset"
        argv = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(library), str(SOURCE)]
        subprocess.run(argv, check=True)
        offset.write_bytes(bytes(8))
        self.environment = {"LD_PRELOAD": str(library), "CLOCK_OFFSET_FILE": str(offset)}
        with offset.open("r+b") as file:
            self._mapped = mmap.mmap(file.fileno(), 8)

    def set(self, seconds: float) -> None:
        """Step it to so many seconds from the true time."""
        self._mapped[:] = struct.pack("q", round(seconds * 1e9))


def step_clock(load: Load, clock: Clock, steps_seconds: tuple[float, ...]) -> Outcome:
    """One step after the other, with some load in between."""
    for step in steps_seconds:
        load.go_on(2000)
        clock.set(step)
    load.go_on(2000)
    return load.finish("clock set back", len(steps_seconds))
