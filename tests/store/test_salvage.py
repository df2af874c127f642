"""A damaged embedded file: it opens, and what each part of it costs is what it hits."""

from __future__ import annotations

import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from receiver.columns import NodeName
from receiver.errors import ConfigurationError, StoreDamaged
from receiver.store.embedded import EmbeddedStore
from receiver.store.embedded.journal import encode
from receiver.store.embedded.salvage.refill import Refill
from tests.store.data import CATALOGUE, T0, catalogue_of, record, stored_rows, stored_scores
from tests.store.used import FILES, NAME, SERIES, Used, opened


@pytest.mark.parametrize("state", FILES)
def test_a_whole_file_is_left_as_it_is(used: Used, tmp_path: Path, state: str) -> None:
    folder = shutil.copytree(used.folder / state, tmp_path / state)
    with opened(folder) as store:
        assert {seq: encode(record) for seq, record in store.journal.replay()} == {
            seq: encode(record) for seq, record in used.records.items()
        }
        assert store.journal.series() == used.series
        assert store.damage == []
        assert (stored_rows(store), stored_scores(store)) == (used.rows, used.scores)
    assert list(folder.glob("*.damaged-*")) == []


def changed(path: Path, old: bytes, new: bytes, times: int = -1) -> None:
    content = path.read_bytes()
    assert content.count(old) >= 1
    path.write_bytes(content.replace(old, new, times))


def pages_of(path: Path, table: str) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY pageno"
        return [page for (page,) in connection.execute(query, (table,))]


def erase(path: Path, pages: list[int]) -> None:
    with path.open("r+b") as file:
        for page in pages:
            file.seek((page - 1) * 8192)
            file.write(bytes(8192))


@pytest.fixture
def closed(used: Used, tmp_path: Path) -> Path:
    return shutil.copytree(used.folder / "closed", tmp_path / "closed")


def everything(used: Used, store: EmbeddedStore) -> bool:
    return (stored_rows(store), stored_scores(store), store.journal.series()) == (used.rows, used.scores, used.series)


@pytest.mark.parametrize("place", [0, 18, 19, 31, 52, 60, 63, 68, 71])
def test_a_damaged_header_costs_nothing(used: Used, closed: Path, place: int) -> None:
    content = bytearray((closed / NAME).read_bytes())
    content[place] ^= 4
    (closed / NAME).write_bytes(content)
    with opened(closed) as store:
        assert everything(used, store)
        assert store.damage
        assert len(list(store.journal.replay())) == len(used.records)


def test_a_feature_whose_name_has_changed_in_the_schema_keeps_its_values(used: Used, closed: Path) -> None:
    changed(closed / NAME, b'"heat" REAL', b'"huat" REAL', 1)
    with opened(closed) as store:
        assert everything(used, store)
        assert "schema" in store.damage[0]


def test_how_far_something_has_come_without_its_name_costs_nothing(used: Used, closed: Path) -> None:
    changed(closed / NAME, b"last_sample_change", b"last_\xffample_change")
    with opened(closed) as store:
        assert everything(used, store)
        assert store.damage


def test_a_label_that_is_no_text_any_more_is_left_out_and_its_page_named(used: Used, closed: Path) -> None:
    changed(closed / NAME, b"port scan", b"port\xffscan")
    with opened(closed) as store:
        assert everything(used, store)
        assert store.labels(0, 1 << 50) == []
        assert store.damage


def test_an_empty_file_where_a_service_was_is_named_and_kept(closed: Path) -> None:
    (closed / NAME).write_bytes(b"")
    with opened(closed) as store:
        assert store.damage == [f"{NAME}: has only 0 bytes"]
        assert store.append([record(T0)], [], {}) == [1]
    assert len(list(closed.glob("*.damaged-*"))) == 1


def test_nodes_whose_names_are_lost_keep_their_rows_and_ids(used: Used, closed: Path) -> None:
    erase(closed / NAME, pages_of(closed / NAME, "nodes") + pages_of(closed / NAME, "sqlite_autoindex_nodes_1"))
    with opened(closed) as store:
        assert set(store.nodes()) == {1, 2, 3, 4}
        assert len(stored_rows(store)) == len(used.rows)
        assert any(line.startswith("nodes 1, 2, 3, 4: ") for line in store.damage)


def test_names_of_nodes_are_taken_from_their_index(used: Used, closed: Path) -> None:
    erase(closed / NAME, pages_of(closed / NAME, "nodes"))
    with opened(closed) as store:
        assert everything(used, store)


def test_a_name_that_was_forgotten_and_came_back_has_its_later_id(tmp_path: Path) -> None:
    with closing(Refill(tmp_path / NAME, CATALOGUE, CATALOGUE.feature_names)) as into:
        into.put(("nodes", (1, "east", "pump-1", T0)))
        into.put(("nodes", (9, "east", "pump-1", None)))
        into.finish()
    with opened(tmp_path) as store:
        assert store.nodes() == {9: NodeName("east", "pump-1")}


def test_series_whose_labels_are_lost_keep_their_ids(used: Used, closed: Path) -> None:
    erase(closed / NAME, pages_of(closed / NAME, "series"))
    with opened(closed) as store:
        lost = store.journal.series()
        assert [series.labels for series in lost] == [()] * len(lost)
        assert max(series.id for series in lost) == SERIES - 1
        assert any(line.startswith("series 0, 1, ") for line in store.damage)
        assert len(list(store.journal.replay())) == len(used.records)


def test_a_record_whose_number_is_damaged_is_used(used: Used, closed: Path) -> None:
    seq, hit = next((seq, one) for seq, one in used.records.items() if seq > 30 and len(one.samples) < 100)
    content = (closed / NAME).read_bytes()
    place = content.index(encode(hit))
    (closed / NAME).write_bytes(content[: place - 16] + bytes(16) + content[place:])
    with opened(closed) as store:
        found = dict(store.journal.replay())
        assert encode(found[seq]) == encode(hit)
        assert len(found) == len(used.records)


def test_rows_whose_scores_are_lost_are_named(used: Used, closed: Path) -> None:
    erase(closed / NAME, pages_of(closed / NAME, "pump_scores")[:1])
    with opened(closed) as store:
        lost = len(used.scores) - len(stored_scores(store))
        named = [
            re.search(r"pump_scores: (\d+) rows of east/pump-\d from \d+ to \d+ ms", line) for line in store.damage
        ]
        assert sum(int(match[1]) for match in named if match) in range(1, lost + 1)


def test_a_file_with_fewer_features_than_it_had_keeps_their_columns(closed: Path) -> None:
    erase(closed / NAME, pages_of(closed / NAME, "states"))
    EmbeddedStore.open(closed / NAME, catalogue_of("flow", "order")).close()
    with opened(closed) as store:
        assert any(heat is not None for _, heat, _ in stored_rows(store).values())


def test_rows_of_two_catalogues_are_not_mixed(closed: Path) -> None:
    with closing(sqlite3.connect(closed / NAME)) as connection:
        connection.execute("CREATE TABLE other_samples (change INTEGER PRIMARY KEY, time_ms INTEGER)")
    erase(closed / NAME, pages_of(closed / NAME, "states"))
    before = (closed / NAME).read_bytes()
    with pytest.raises(ConfigurationError, match="another catalogue"):
        EmbeddedStore.open(closed / NAME, CATALOGUE)
    assert (closed / NAME).read_bytes() == before


@pytest.mark.parametrize("damaged_is", ["there", "gone"])
def test_a_salvage_that_was_cut_off_is_completed(used: Used, closed: Path, damaged_is: str) -> None:
    shutil.copy(closed / NAME, closed / f"{NAME}.salvaged")
    (closed / f"{NAME}.salvage").write_bytes(b"begun")
    (closed / f"{NAME}-wal").write_bytes(b"the log of the damaged file")
    if damaged_is == "there":
        (closed / NAME).write_bytes(b"damaged")
    else:
        (closed / NAME).unlink()
    with opened(closed) as store:
        assert everything(used, store)
        assert store.damage == []
    kept = {path.read_bytes() for path in closed.glob("*.damaged-*")}
    assert kept == {b"the log of the damaged file", *([b"damaged"] if damaged_is == "there" else [])}


def test_damage_that_is_met_while_the_service_runs_ends_it_and_the_next_start_salvages(
    used: Used, closed: Path
) -> None:
    leaves = pages_of(closed / NAME, "pump_samples")
    with opened(closed) as store:
        erase(closed / NAME, leaves)
        store._connection.execute("PRAGMA shrink_memory")
        with pytest.raises(StoreDamaged, match="salvages"):
            store.delete_before(1 << 50)
    with opened(closed) as store:
        assert stored_rows(store) == {}
        assert len(stored_scores(store)) == len(used.scores)
        assert any("pump_samples" in line for line in store.damage)
