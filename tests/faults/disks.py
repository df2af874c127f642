"""A disk that is full: a small file system of our own, filled up by a file that is deleted again."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.load import Load, Outcome
from tests.servers.process import wait_until

DISK_BYTES = 64 * 1024 * 1024
_BLOCK = bytes(64 * 1024)
# This load writes some 5 MB of log in as many seconds; the short times let the journal be trimmed meanwhile.
BUDGET = {"max_disk_bytes": 4 * 1024 * 1024, "late_horizon_seconds": 1, "max_rate_gap_seconds": 2}
# While the disk stays full. Less than the first Retry-After, so that one round of retries finds it mended.
FULL_SECONDS = 3.0


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of `DISK_BYTES` mounted on `folder`; PermissionError where we may not mount."""
    folder.mkdir()
    options = f"size={DISK_BYTES}"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise PermissionError(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill_disk(load: Load) -> Outcome:
    """Leave no byte on the service's disk, and delete what fills it once senders are sent away."""
    ballast = load.service.data_dir / "ballast"
    load.go_on(2000)
    _fill(ballast)
    wait_until(lambda: load.ledger.refusals.get(503), "requests are answered 503")
    wait_until(lambda: "embedded store: the disk is full" in load.service.state(), "the service says why")
    load.linger(FULL_SECONDS)
    ballast.unlink()
    wait_until(load.service.ready, "the service is ready again, without a restart")
    load.go_on(2000, timeout_seconds=60)
    return load.finish("disk full", 1)


def use_up_budget(load: Load) -> Outcome:
    """Send until the file is over `max_disk_bytes`. Most of it is the log, and the journal's consumed records."""
    wait_until(lambda: load.ledger.refusals.get(503), "requests are answered 503", 60)
    wait_until(load.service.ready, "the service is ready again, without a restart", 12)
    load.go_on(2000, timeout_seconds=60)
    return load.finish("max_disk_bytes used up", 1)


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        for size in (len(_BLOCK), 4096):
            try:
                while True:
                    file.write(_BLOCK[:size])
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
