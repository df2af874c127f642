"""A disk that is full: a small file system of our own, filled up by a file that is deleted again.

And a disk budget that is used up: by rows that the service deletes.
"""

from __future__ import annotations

import errno
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from receiver.columns import NodeName, Rows, Scores
from receiver.store import Finished
from receiver.store.embedded import EmbeddedStore
from tests.faults.load import CATALOGUE, Load, Outcome
from tests.servers.process import wait_until

DISK_BYTES = 64 * 1024 * 1024
_BLOCK = bytes(64 * 1024)
BUDGET = {"max_disk_bytes": 2 * 1024 * 1024}
# Some 5 MB, past their retention: the service deletes 5,000 of them every 5 s.
OLD_ROWS = 20_000
OLD_MS = 90 * 86_400_000
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
    """Have the service start with a file that is over its budget, as after the setting was lowered."""
    load.go_on(2000)
    load.service.stop()
    _keep_old_rows(load.service.embedded_path)
    load.service.spawn()
    wait_until(lambda: load.ledger.refusals.get(503), "requests are answered 503")
    wait_until(lambda: "over max_disk_bytes" in load.service.state(), "the service says why")
    wait_until(load.service.ready, "the service is ready again, without a restart", 30)
    load.go_on(2000, timeout_seconds=60)
    return load.finish("max_disk_bytes used up", 1)


def _keep_old_rows(path: Path) -> None:
    features = len(CATALOGUE.features)
    store = EmbeddedStore.open(path, CATALOGUE, "normal")
    node = max(store.nodes()) + 1
    store.add_nodes({node: NodeName("east", "gone")})
    rows = Rows(
        node=np.full(OLD_ROWS, node, np.int32),
        time_ms=time.time_ns() // 1_000_000 - OLD_MS + np.arange(OLD_ROWS, dtype=np.int64),
        raw=np.full((OLD_ROWS, features), np.pi),
        x=np.zeros((OLD_ROWS, features), np.float32),
    )
    store.write(Finished(rows, Rows.empty(features), Scores.empty(features), "", 0))
    store.close()


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        for size in (len(_BLOCK), 4096):
            try:
                while True:
                    file.write(_BLOCK[:size])
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
