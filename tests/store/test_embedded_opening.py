"""Which files are opened, by whom, and which are refused and left alone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from receiver.columns import NodeName
from receiver.errors import ConfigurationError, StoreUnavailable
from receiver.store.embedded import EmbeddedReader, EmbeddedStore
from receiver.store.embedded.schema import MIGRATIONS
from tests.store.data import CATALOGUE, T0, catalogue_of, finished, names, record, scores_of, stored_rows, stored_scores

PUMP = NodeName("east", "pump-1")


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
    monkeypatch.setattr("receiver.store.embedded.sqlite.BUSY_TIMEOUT_SECONDS", 0.01)
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
