"""A backup that is made while the service is written to, and a restore of it, by the commands of the page."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from receiver.catalogue import load
from receiver.store.embedded import EmbeddedReader
from tests.docs.conftest import Shell, send_recording
from tests.docs.pages import block_with
from tests.servers.nodescore import Nodescore
from tests.servers.process import Runner, wait_until

RECORDING_MS = 300_000
HOUR_MS = 3_600_000


@contextmanager
def load_on(service: Nodescore) -> Iterator[None]:
    """The recording, again and again, each time later, until the end."""
    stopping = threading.Event()

    def send() -> None:
        begun_ms = int(time.time() * 1000) - 24 * HOUR_MS
        for number in range(24 * HOUR_MS // RECORDING_MS):
            if not stopping.is_set():
                send_recording(service, begun_ms + number * RECORDING_MS)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def rows(data_dir: Path) -> set[tuple[int, int]]:
    """Which rows a data folder has."""
    reader = EmbeddedReader.open(data_dir / "nodescore.sqlite", load())
    try:
        blocks = list(reader.read_rows(0, 2**60))
        return {key for block in blocks for key in zip(block.node.tolist(), block.time_ms.tolist(), strict=True)}
    finally:
        reader.close()


@pytest.mark.real("sqlite3")
def test_a_backup_under_load_is_whole_and_a_service_starts_from_it(
    run_server: Runner, shell: Shell, tmp_path: Path
) -> None:
    service = run_server(Nodescore(tmp_path))
    with load_on(service):
        before = wait_until(lambda: rows(service.data_dir), "rows")
        saved = shell(block_with("backup.md", "VACUUM INTO").text, tmp_path)
        assert saved.returncode == 0, saved.stdout
    service.stop()
    assert before <= rows(tmp_path / "backup") <= rows(service.data_dir)

    restored = shell(block_with("backup.md", "mv nodescore-data").text, tmp_path)
    assert restored.returncode == 0, restored.stdout
    assert "FAULT" not in restored.stdout
    service.start()
    assert "nodescore_store_damaged_parts_total 0.0" in service.metrics()
    assert rows(tmp_path / "backup") <= rows(service.data_dir)
