"""Labels are edited by revisions, and nothing that was said is lost: the same on SQLite and on a real TimescaleDB."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from receiver.columns import NodeName
from receiver.errors import Conflict, DataError, NotFound
from receiver.store import Label, Moment, RowStore, labelling
from receiver.store.embedded import EmbeddedStore, schema
from receiver.store.embedded.salvage.recognize import row_of
from receiver.store.embedded.schema import MIGRATIONS
from receiver.store.outbox import Outbox
from tests.store.data import CATALOGUE, DAY_MS, HOUR_MS, NAN, T0, finished, label, names, scores_of

PUMP_1 = NodeName("east", "pump-1")
ALWAYS = (0, 1 << 50)


def added(store: RowStore, given: Label) -> Label:
    """The label as it is stored."""
    store.add_label(given)
    (found,) = store.label_history(labelling.key_of(given))
    return found


def next_of(before: Label, **changed: object) -> Label:
    """What somebody says after it."""
    return replace(before, **{"revision": before.revision + 1, "created_ms": before.created_ms + 1, **changed})  # type: ignore[arg-type]


def scored(store: RowStore) -> None:
    """Three rows of pump 1, the second of which has the highest score, and one later of another node."""
    store.add_nodes(names(3))
    store.write(
        finished(
            scores=scores_of(
                (1, T0, 0.5, (0, 0, 0), (NAN,) * 3),
                (1, T0 + 10, 2.5, (0.1, NAN, -3), (2, 0.5, 0)),
                (1, T0 + 20, 0.75, (0, 0, 0), (NAN,) * 3),
                (2, T0 + 30, 9.0, (0, 0, 0), (NAN,) * 3),
            ),
            model_version="v7",
        )
    )


def test_a_label_comes_back_as_it_was_given(store: RowStore) -> None:
    given_label = replace(label(PUMP_1, T0, T0 + 5000), verdict="FN", details="nmap -sS, ticket №7\n'--", author="Zoë")
    id_ = store.add_label(given_label)
    assert store.labels(T0, T0 + 1) == [replace(given_label, id=id_, key=labelling.key_of(given_label))]


def test_labels_are_those_that_touch_the_time_by_start(store: RowStore) -> None:
    for start, end in ((300, 400), (100, 200), (200, 300)):
        store.add_label(label(PUMP_1, T0 + start, T0 + end))
    assert [found.start_ms - T0 for found in store.labels(T0 + 200, T0 + 300)] == [100, 200]
    assert [found.start_ms - T0 for found in store.labels(T0 + 201, T0 + 301)] == [200, 300]


def test_the_same_label_again_is_the_same_label(store: RowStore) -> None:
    first = store.add_label(label(PUMP_1, T0, T0 + 1))
    assert store.add_label(label(PUMP_1, T0, T0 + 1)) == first
    assert store.add_label(label(PUMP_1, T0, T0 + 1, created_ms=T0 + 1)) != first
    assert len(store.labels(0, 1 << 50)) == 2


def test_a_label_keeps_the_highest_score_of_its_interval_and_its_model(store: RowStore) -> None:
    store.add_nodes(names(3))
    for model, node, time_ms, score in (("v1", 1, 10, 0.5), ("v2", 1, 20, 2.5), ("v3", 1, 31, 9.0), ("v4", 2, 20, 8.0)):
        store.write(finished(scores=scores_of((node, T0 + time_ms, score, (0,) * 3, (0,) * 3)), model_version=model))
    store.add_label(label(PUMP_1, T0 + 10, T0 + 30))
    store.add_label(label(NodeName("east", "nobody"), T0 + 11, T0 + 30))
    with_score, without = store.labels(0, 1 << 50)
    assert (with_score.score, with_score.model_version) == (2.5, "v2")
    assert (without.score, without.model_version) == (None, None)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"end_ms": T0 - 1}, "ends before it starts"),
        ({"name": NodeName("east", "")}, "names no node"),
        ({"details": "a\x00b"}, "details has a NUL"),
        ({"author": "\ud800"}, "author has a NUL or half"),
        ({"details": "x" * 10_001}, "10001 characters"),
    ],
)
def test_a_label_that_cannot_be_meant_is_refused(store: RowStore, wrong: dict[str, object], why: str) -> None:
    with pytest.raises(DataError, match=why):
        store.add_label(replace(label(PUMP_1, T0, T0 + 1), **wrong))  # type: ignore[arg-type]
    assert store.labels(0, 1 << 50) == []


def test_the_nodes_that_came_nearest_to_the_threshold_are_found_without_those_over_it(store: RowStore) -> None:
    scored(store)
    rows = [(node, T0 + 40 + time, score) for node, time, score in ((1, 0, 0.5), (1, 1, 0.9), (2, 1, 0.7), (3, 2, 0.8))]
    store.write(finished(scores=scores_of(*((*row, (0,) * 3, (NAN,) * 3) for row in rows))))
    below = store.highest_below(T0 + 40, T0 + 43, 2)
    assert [(one.name, one.time_ms, round(one.score, 3)) for one in below] == [
        (PUMP_1, T0 + 41, 0.9),
        (names(3)[3], T0 + 42, 0.8),
    ]
    assert store.highest_below(T0, T0 + 31, 9) == []


def test_a_revision_holds_in_place_of_the_one_before_and_both_are_kept(store: RowStore) -> None:
    first = added(store, label(PUMP_1, T0, T0 + 5))
    store.revise_label(next_of(first, attack=False, verdict="FP", author="bob", end_ms=T0 + 9))
    (now,) = store.labels(*ALWAYS)
    assert (now.key, now.revision, now.verdict, now.author, now.end_ms) == (first.key, 2, "FP", "bob", T0 + 9)
    assert store.label_history(first.key) == [first, now]


def test_an_edit_of_a_revision_that_no_longer_holds_is_refused_with_what_does(store: RowStore) -> None:
    first = added(store, label(PUMP_1, T0, T0 + 5))
    store.revise_label(next_of(first, attack=False, verdict="FP", author="bob", details="a backup"))
    with pytest.raises(Conflict, match="revision 2 holds now, not 1: bob says FP: 'a backup'"):
        store.revise_label(next_of(first, details="mine"))
    assert [one.author for one in store.label_history(first.key)] == ["ann", "bob"]


def test_an_edit_of_no_label_is_refused(store: RowStore) -> None:
    with pytest.raises(NotFound, match="there is no label"):
        store.revise_label(replace(label(PUMP_1, T0, T0), key="f" * 32, revision=2))
    assert store.label_history("f" * 32) == []


def test_a_withdrawn_label_says_nothing_any_more_and_its_history_stays(store: RowStore) -> None:
    first = added(store, label(PUMP_1, T0, T0 + 5))
    store.revise_label(next_of(first, withdrawn=True))
    assert store.labels(*ALWAYS) == []
    assert [one.withdrawn for one in store.label_history(first.key)] == [False, True]


def test_a_label_that_was_moved_is_found_where_it_is_now(store: RowStore) -> None:
    first = added(store, label(PUMP_1, T0, T0 + 5))
    store.revise_label(next_of(first, start_ms=T0 + 1000, end_ms=T0 + 1005))
    assert store.labels(T0, T0 + 6) == []
    assert len(store.labels(T0 + 1000, T0 + 1001)) == 1


def test_of_two_next_revisions_that_were_passed_on_the_later_one_holds(store: RowStore) -> None:
    first = added(store, label(PUMP_1, T0, T0 + 5))
    for author, later_ms in (("bob", 9), ("ann", 3)):  # on two replicas, while neither saw the other
        store.add_label(next_of(first, author=author, created_ms=T0 + later_ms))
    assert [now.author for now in store.labels(*ALWAYS)] == ["bob"]
    assert [one.author for one in store.label_history(first.key)] == ["ann", "ann", "bob"]


def test_a_label_keeps_the_row_that_it_is_about_when_that_is_gone(store: RowStore) -> None:
    scored(store)
    found = added(store, label(PUMP_1, T0, T0 + 20))
    assert (found.score, found.model_version) == (2.5, "v7")
    assert found.moment == Moment(T0 + 10, CATALOGUE.feature_names, (0.1, None, -3.0), (2.0, 0.5, 0.0))
    while store.delete_before(T0 + 10 * DAY_MS):
        pass
    assert store.labels(*ALWAYS) == [found]


@pytest.mark.parametrize(
    "damage", ["'{\"time_ms\": 1,'", "'{\"time_ms\": 1}'", "'[7]'", "'{\"features\": 7}'", "x'7bff'"]
)
def test_a_label_whose_moment_is_damaged_says_what_it_says_without_it(
    embedded: EmbeddedStore, path: Path, damage: str
) -> None:
    scored(embedded)
    before = added(embedded, label(PUMP_1, T0, T0 + 20))
    assert before.moment is not None
    with closing(sqlite3.connect(path)) as other, other:
        other.execute(f"UPDATE labels SET moment = {damage}")
    assert embedded.labels(*ALWAYS) == [replace(before, moment=None)]


def test_a_row_without_contributions_has_none(store: RowStore) -> None:
    scored(store)
    moment = added(store, label(PUMP_1, T0, T0 + 5)).moment
    assert moment is not None
    assert (moment.time_ms, moment.contribution) == (T0, None)


def test_the_scores_nearest_to_a_time_without_any_are_told(store: RowStore) -> None:
    scored(store)
    assert store.scored_around(PUMP_1, T0 + 11, T0 + 19) == (T0 + 10, T0 + 20)
    assert store.scored_around(PUMP_1, T0 + 50, T0 + 60) == (T0 + 20, None)
    assert store.scored_around(PUMP_1, T0 - 50, T0 - 10) == (None, T0)
    assert store.scored_around(NodeName("east", "nobody"), T0, T0) == (None, None)


def test_revisions_are_passed_on(embedded: EmbeddedStore, path: Path, tmp_path: Path) -> None:
    target = EmbeddedStore.open(tmp_path / "target.db", CATALOGUE)
    outbox = Outbox(path, CATALOGUE, lambda: target, HOUR_MS, 30 * DAY_MS)
    scored(embedded)
    first = added(embedded, label(PUMP_1, T0, T0 + 20))
    outbox.forward_once(T0)
    embedded.revise_label(next_of(first, withdrawn=True))
    outbox.forward_once(T0 + 1)
    assert target.label_history(first.key) == embedded.label_history(first.key)
    outbox.close()


def old_file(path: Path, given: Label, monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """A file as it was before labels had revisions, with one; its row."""
    with monkeypatch.context() as older:
        older.setattr(schema, "MIGRATIONS", MIGRATIONS[:2])
        EmbeddedStore.open(path, CATALOGUE).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO labels (digest, cluster, node, start_ms, end_ms, attack, verdict, details, author, "
            "created_ms, score, model) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            labelling.columns(given)[:12],
        )
        return connection.execute("SELECT * FROM labels").fetchall()


def test_a_label_of_an_older_file_is_the_first_revision_of_itself(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = replace(label(PUMP_1, T0, T0 + 5), score=1.5, model_version="v1")
    path.parent.mkdir()
    old_file(path, given, monkeypatch)
    with closing(EmbeddedStore.open(path, CATALOGUE)) as store:
        (found,) = store.labels(*ALWAYS)
        assert found == replace(given, id=1, key=labelling.key_of(given))
        store.add_label(given)  # passed on once more
        store.revise_label(next_of(found, withdrawn=True))
        assert len(store.label_history(found.key)) == 2


def test_a_label_in_a_page_of_an_older_file_is_recognized(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = label(PUMP_1, T0, T0 + 5)
    path.parent.mkdir()
    ((rowid, *values),) = old_file(path, given, monkeypatch)
    assert isinstance(rowid, int)
    found = row_of(rowid, [None, *values])  # type: ignore[list-item]
    assert found == ("labels", (rowid, *values, None, labelling.key_of(given), 1, 0))
