"""What waits for the disk, what a power cut takes, and a disk that is full."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver.columns import NodeName
from receiver.errors import StoreUnavailable
from receiver.store import JournalRecord
from receiver.store.embedded import EmbeddedStore
from tests.store.data import CATALOGUE, T0, finished, names, record, stored_rows

PUMP = NodeName("east", "pump-1")


def sync_level(store: EmbeddedStore, when: str) -> int:
    """2: a commit waits for the disk. SQLite answers when it parses, so each question needs words of its own."""
    assert store._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    return int(store._connection.execute(f"PRAGMA synchronous -- {when}").fetchone()[0])


def test_what_is_acknowledged_is_synced_unless_told_otherwise_and_a_flush_waits_for_the_next(tmp_path: Path) -> None:
    for sync, level in (("full", 2), ("normal", 1)):
        store = EmbeddedStore.open(tmp_path / f"{sync}.db", CATALOGUE, sync)  # type: ignore[arg-type]
        store.append([record(T0)], [], names(2))
        assert sync_level(store, "after append") == level
        store.write(finished([(1, T0, (1, 2, 3))], consumed_seq=1))
        assert sync_level(store, "after write") == 1
        store.append([record(T0)], [], {})
        assert sync_level(store, "after append again") == level
        store.close()


def test_a_power_cut_takes_the_end_of_the_log_and_leaves_no_sample_between_journal_and_rows(path: Path) -> None:
    store = EmbeddedStore.open(path, CATALOGUE)
    store.append([record(T0)], [], names(2))
    for seq in range(1, 20):
        store.write(finished([(1, T0 + seq, (seq, 2, 3))], consumed_seq=seq))
        store.journal.trim(seq - 3, T0 + 1)
        store.append([record(T0)], [], {})
    file, log = path.read_bytes(), path.with_name(path.name + "-wal").read_bytes()
    store.close()
    seen = set()
    for length in range(0, len(log), 4096):
        cut = path.with_name(f"cut-{length}.db")
        cut.write_bytes(file)
        cut.with_name(cut.name + "-wal").write_bytes(log[:length])
        store = EmbeddedStore.open(cut, CATALOGUE)
        consumed, journal = store.consumed_seq, [seq for seq, _ in store.journal.replay()]
        assert len(stored_rows(store)) == consumed
        last = journal[-1] if journal else 0
        assert last in (consumed, consumed + 1)
        assert journal in [list(range(max(1, consumed - kept), last + 1)) for kept in (2, 3)]
        seen.add(consumed)
        store.close()
    assert seen == set(range(20))


def test_a_full_disk_is_unavailable_and_the_store_goes_on_when_there_is_space(embedded: EmbeddedStore) -> None:
    embedded.add_nodes(names(1))
    (pages,) = embedded._connection.execute("PRAGMA page_count").fetchone()
    embedded._connection.execute(f"PRAGMA max_page_count = {pages + 2}")  # SQLite's own "disk full"
    big = record(T0, *((i, T0, 0.0) for i in range(3000)))
    with pytest.raises(StoreUnavailable, match="the disk is full"):
        embedded.append([big], [], {2: NodeName("east", "pump-2")})
    assert embedded.nodes() == {1: PUMP}
    assert list(embedded.journal.replay()) == []
    embedded._connection.execute("PRAGMA max_page_count = 1000000")
    assert embedded.append([big], [], {2: NodeName("east", "pump-2")}) == [1]
    assert set(embedded.nodes()) == {1, 2}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mount.returncode:
        pytest.skip(f"cannot mount a small disk: {mount.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def append_until_full(store: EmbeddedStore, big: JournalRecord) -> list[int]:
    """The numbers of the records that were acknowledged."""
    acknowledged: list[int] = []
    try:
        while True:
            acknowledged += store.append([big], [], {})
    except StoreUnavailable:
        return acknowledged


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_disk_that_is_really_full_loses_nothing_that_was_acknowledged(small_disk: Path) -> None:
    store = EmbeddedStore.open(small_disk / "x.db", CATALOGUE)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(2 << 20))
    big = record(T0, *((i, T0, float(i)) for i in range(3000)))
    acknowledged = append_until_full(store, big)
    assert acknowledged
    assert [number for number, _ in store.journal.replay()] == acknowledged
    with pytest.raises(StoreUnavailable):
        store.append([big], [], {})
    ballast.unlink()
    acknowledged += store.append([big], [], {})
    store.close()
    store = EmbeddedStore.open(small_disk / "x.db", CATALOGUE)
    assert [number for number, _ in store.journal.replay()] == acknowledged
    assert store.damage == []
    store.close()
