"""What only the embedded store does: states, progress, migration, limits, and files that are not ours."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver.columns import NodeName
from receiver.errors import ConfigurationError, StoreUnavailable
from receiver.store import JournalRecord, States
from receiver.store.embedded import EmbeddedStore
from receiver.store.mutes import Mute
from receiver.store.reader import EmbeddedReader
from receiver.store.schema import MIGRATIONS
from tests.store.data import (
    CATALOGUE,
    NAN,
    T0,
    catalogue_of,
    finished,
    label,
    names,
    record,
    rows_of,
    scores_of,
    stored_rows,
    stored_scores,
)

PUMP = NodeName("east", "pump-1")


def states(model: str, *nodes: int, width: int = 4) -> States:
    """States that tell their node."""
    return States(
        model,
        np.array(nodes, np.int32),
        np.array(nodes, np.int64) + T0,
        np.repeat(np.array(nodes, np.float32)[:, None], width, 1),
    )


def test_everything_is_there_after_a_restart(path: Path) -> None:
    store = EmbeddedStore.open(path, CATALOGUE)
    store.append([record(T0, (1, T0, 1.0))], [], names(2))
    store.write(finished([(1, T0, (1, NAN, 3))], scores=scores_of((1, T0, 0.5, (1, 2, 3), (0,) * 3)), consumed_seq=1))
    rows, scores = stored_rows(store), stored_scores(store)
    store.close()
    store = EmbeddedStore.open(path, CATALOGUE)
    assert (stored_rows(store), stored_scores(store), store.consumed_seq) == (rows, scores, 1)
    store.close()


def test_many_rows_in_one_flush_are_stored_as_each_in_its_own(tmp_path: Path) -> None:
    rows = [(1 + place % 2, T0 + place, (place, NAN if place % 3 else 1.0, -place)) for place in range(27)]
    scores = [(node, time_ms, time_ms - T0, raw, (NAN,) * 3 if node == 1 else raw) for node, time_ms, raw in rows]
    together, single = (EmbeddedStore.open(tmp_path / f"{name}.db", CATALOGUE) for name in ("together", "single"))
    for store in (together, single):
        store.add_nodes(names(2))
        store.write(finished([(1, T0 + 4, (7, 7, 7))]))  # one is there already
    together.write(finished(rows, fills=rows[:9], scores=scores_of(*scores)))
    for row, score in zip(rows, scores, strict=True):
        single.write(finished([row], scores=scores_of(score)))
    assert stored_rows(together) == stored_rows(single)
    assert stored_scores(together) == stored_scores(single)
    assert len(stored_scores(together)) == 27
    for store in (together, single):
        store.close()


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(late_ms=st.lists(st.integers(0, 5), max_size=12), since=st.integers(-1, 13), most=st.integers(1, 13))
def test_what_was_scored_since_then_is_found_though_rows_came_late(
    tmp_path_factory: pytest.TempPathFactory, late_ms: list[int], since: int, most: int
) -> None:
    with closing(EmbeddedStore.open(tmp_path_factory.mktemp("store") / "store.db", CATALOGUE)) as store:
        store.add_nodes(names(1))
        seen: list[int] = []
        for place, late in enumerate(late_ms):
            time_ms = next(ms for ms in range(place - late, place + 99) if ms not in seen)
            store.write(finished(scores=scores_of((1, T0 + time_ms, 0.5, (1, 2, 3), (0,) * 3))))
            seen.append(time_ms)
        _, after = store.scored_after(store.before_scores_of(T0 + since, most), 100)
        found = (after.time_ms - T0).tolist()
    assert len(found) <= most
    assert set(found) >= {ms for ms in seen[-most:] if ms >= since}
    assert found == seen[len(seen) - len(found) :]
    if seen == sorted(seen):
        assert found == [ms for ms in seen[-most:] if ms >= since]


def test_what_is_consumed_never_goes_back(embedded: EmbeddedStore) -> None:
    embedded.write(finished(consumed_seq=5))
    embedded.write(finished(consumed_seq=3))
    assert embedded.consumed_seq == 5


def test_the_newest_row_of_each_node_is_known_also_when_it_is_gone(embedded: EmbeddedStore) -> None:
    embedded.add_nodes(names(3))
    embedded.write(finished([(1, T0 + 9, (1, 1, 1)), (1, T0, (1, 1, 1)), (2, T0, (1, 1, 1))]))
    embedded.write(finished([(2, T0 - 9, (1, 1, 1))]))
    embedded.delete_before(1 << 50)
    assert embedded.last_row_ms() == {1: T0 + 9, 2: T0}


def test_naming_a_node_id_otherwise_is_a_mistake(embedded: EmbeddedStore) -> None:
    embedded.add_nodes({1: PUMP})
    with pytest.raises(ValueError, match="cannot be"):
        embedded.add_nodes({1: NodeName("west", "pump-1")})


def test_names_of_which_nothing_is_left_are_deleted_and_no_others(embedded: EmbeddedStore) -> None:
    embedded.add_nodes({i: NodeName("east", f"pump-{i}") for i in range(1, 10)})
    for i in range(1, 8):
        rows = finished([(i, T0, (1, 2, 3))], scores=scores_of((i, T0, 0.5, (1, 2, 3), (NAN,) * 3)))
        embedded.write(rows)
    embedded.write(finished([(7, T0 + 5, (1, 2, 3))]))
    everybody = set(range(1, 10))
    embedded.save_states(states("v1", 2))
    embedded.add_label(label(NodeName("east", "pump-3"), T0, T0 + 1))
    embedded.add_mute(Mute(NodeName("east", "pump-4"), T0 + 1, "", "ann", T0))
    assert embedded.forget_nodes(everybody) == []  # their rows are there
    embedded.delete_before(T0 + 5)
    assert embedded.forget_nodes(everybody - {5}) == [1, 6]  # 8 never had a row, 9 is the last
    assert embedded.nodes().keys() == {2, 3, 4, 5, 7, 8, 9}
    embedded.delete_before(T0 + 6)
    assert embedded.forget_nodes(everybody) == [5, 7]
    embedded.add_nodes({10: NodeName("east", "pump-7")})
    embedded.write(finished([(10, T0 + 9, (1, 2, 3))]))
    assert embedded.last_row_ms() == {2: T0, 3: T0, 4: T0, 10: T0 + 9}


def test_states_come_back_as_they_were_saved(embedded: EmbeddedStore) -> None:
    embedded.save_states(states("v1", 1, 2))
    embedded.save_states(states("v1", 2, 3))
    loaded = embedded.load_states("v1")
    assert loaded is not None
    expected = states("v1", 1, 2, 3)
    for name in ("node", "time_ms", "state"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(expected, name))


def test_states_of_another_model_are_not_given(embedded: EmbeddedStore) -> None:
    assert embedded.load_states("v1") is None
    embedded.save_states(states("v1", 1, 2))
    embedded.save_states(states("v2", 2, width=6))
    first, second = embedded.load_states("v1"), embedded.load_states("v2")
    assert first is not None
    assert second is not None
    assert (first.node.tolist(), second.node.tolist(), second.state.shape) == ([1], [2], (1, 6))
    assert embedded.load_states("v3") is None


def test_states_of_long_ago_are_deleted_of_whatever_model(embedded: EmbeddedStore) -> None:
    embedded.save_states(states("v1", 1, 5))
    embedded.save_states(states("v2", 2, 6))
    embedded.forget_states(T0 + 5)
    first, second = embedded.load_states("v1"), embedded.load_states("v2")
    assert first is not None
    assert second is not None
    assert (first.node.tolist(), second.node.tolist()) == ([5], [6])


def test_a_catalogue_that_gained_features_gets_their_columns(path: Path) -> None:
    store = EmbeddedStore.open(path, CATALOGUE)
    store.add_nodes(names(1))
    store.write(finished([(1, T0, (1, 2, 3))], scores=scores_of((1, T0, 0.5, (0.25, 0.5, 0.75), (0, 0, 1)))))
    store.close()
    wider = catalogue_of("new", "order", "flow")  # heat is gone, and the order is another
    store = EmbeddedStore.open(path, wider)
    assert stored_rows(store) == {(PUMP, T0): (None, 3, 1)}
    _, x, contribution = stored_scores(store)[PUMP, T0]
    assert (x, contribution) == ((None, 0.75, 0.25), (None, 1, 0))
    store.close()
    store = EmbeddedStore.open(path, CATALOGUE)
    assert stored_rows(store) == {(PUMP, T0): (1, 2, 3)}
    store.close()


def test_a_reader_with_newer_features_reads_a_file_that_lacks_their_columns(
    embedded: EmbeddedStore, path: Path
) -> None:
    embedded.add_nodes(names(1))
    embedded.write(finished([(1, T0, (1, 2, 3))]))
    reader = EmbeddedReader.open(path, catalogue_of("flow", "new"))
    assert stored_rows(reader) == {(PUMP, T0): (1, None)}
    reader.close()


def test_a_reader_with_another_catalogue_finds_no_rows(embedded: EmbeddedStore, path: Path) -> None:
    embedded.add_nodes(names(1))
    with sqlite3.connect(path) as other:
        other.execute("ALTER TABLE pump_samples RENAME TO elsewhere")
    other.close()
    reader = EmbeddedReader.open(path, CATALOGUE)
    assert list(reader.read_rows(0, 1 << 50)) == []
    assert list(reader.read_scores(0, 1 << 50)) == []
    reader.close()


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


def test_a_second_service_on_the_same_file_is_refused(embedded: EmbeddedStore, path: Path) -> None:
    with pytest.raises(ConfigurationError, match="another nodescore serves from it"):
        EmbeddedStore.open(path, CATALOGUE)
    assert embedded.append([record(T0)], [], {}) == [1]


def test_a_file_of_a_newer_version_is_refused(path: Path) -> None:
    EmbeddedStore.open(path, CATALOGUE).close()
    with sqlite3.connect(path) as other:
        other.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
        other.execute("UPDATE progress SET value = value + 1 WHERE name = 'format'")
    other.close()
    with pytest.raises(ConfigurationError, match="written by a newer nodescore"):
        EmbeddedStore.open(path, CATALOGUE)
    with pytest.raises(ConfigurationError, match="written by a newer nodescore"):
        EmbeddedReader.open(path, CATALOGUE)


def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database, but somebody's notes\n" * 500)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="not a usable SQLite file"):
            EmbeddedStore.open(path, CATALOGUE)
        assert path.read_bytes() == b"not a database, but somebody's notes\n" * 500


def test_a_database_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE bookmarks (url TEXT)")
    other.close()
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="another program"):
            EmbeddedStore.open(path, CATALOGUE)
        assert path.read_bytes() == before


def test_what_lies_where_a_start_failed_is_not_taken_to_be_ours(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(ConfigurationError):
        EmbeddedStore.open(path, CATALOGUE)
    path.rmdir()
    path.write_bytes(b"not a database, but somebody's notes\n" * 500)
    with pytest.raises(ConfigurationError, match="not a usable SQLite file"):
        EmbeddedStore.open(path, CATALOGUE)
    assert path.read_bytes() == b"not a database, but somebody's notes\n" * 500


def test_a_database_of_another_program_that_was_locked_is_left_alone_too(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receiver.store.sqlite.BUSY_TIMEOUT_SECONDS", 0.01)
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE bookmarks (url TEXT)")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreUnavailable):
            EmbeddedStore.open(path, CATALOGUE)
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="another program"):
        EmbeddedStore.open(path, CATALOGUE)
    assert path.read_bytes() == before


def test_reading_where_no_service_has_been_says_so(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such file"):
        EmbeddedReader.open(path, CATALOGUE)
    assert not path.exists()


def test_a_folder_in_the_way_says_so(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(ConfigurationError, match=r"nodescore\.db: "):
        EmbeddedStore.open(path, CATALOGUE)


def test_a_lock_file_that_cannot_be_opened_says_so(path: Path) -> None:
    path.with_name(path.name + ".lock").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match="its lock file"):
        EmbeddedStore.open(path, CATALOGUE)


def test_a_damaged_state_costs_only_its_node(embedded: EmbeddedStore, path: Path) -> None:
    embedded.save_states(states("v1", 1, 2, 3))
    with sqlite3.connect(path) as other:
        other.execute("UPDATE states SET state = substr(state, 1, 5) WHERE node = 2")
    other.close()
    loaded = embedded.load_states("v1")
    assert loaded is not None
    assert loaded.node.tolist() == [1, 3]


def test_deletion_goes_in_steps(embedded: EmbeddedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.store.embedded.DELETE_ROWS", 3)
    embedded.add_nodes(names(1))
    embedded.write(finished([(1, T0 + i, (i, i, i)) for i in range(8)]))
    steps = [embedded.delete_before(T0 + 7) for _ in range(4)]
    assert steps == [3, 3, 1, 0]
    assert list(stored_rows(embedded)) == [(PUMP, T0 + 7)]


def test_the_size_counts_what_is_used_and_falls_when_rows_are_deleted(embedded: EmbeddedStore) -> None:
    embedded.add_nodes(names(1))
    empty = embedded.size_bytes()
    embedded.write(finished([(1, T0 + i, (i, i, i)) for i in range(5000)]))
    full = embedded.size_bytes()
    assert full > empty + 5000 * 3 * 8
    while embedded.delete_before(1 << 50):
        pass
    embedded._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert embedded.size_bytes() < full / 2


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


def test_a_row_without_any_value_is_a_row(embedded: EmbeddedStore) -> None:
    embedded.add_nodes(names(1))
    embedded.write(finished([(1, T0, (NAN, NAN, NAN))]))
    assert stored_rows(embedded) == {(PUMP, T0): (None, None, None)}
    assert len(rows_of((1, T0, (NAN,) * 3))) == 1
