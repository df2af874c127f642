"""Feedback over two stores: the common one is believed, and while it is away this service's own file is used."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from receiver.columns import NodeName
from receiver.errors import Conflict, StoreUnavailable
from receiver.feedback import AWAY, COMMON, Feedback, next_revision
from receiver.store import Label, RowReader, RowStore, labelling
from receiver.store.embedded import EmbeddedReader, EmbeddedStore
from receiver.store.outbox import Outbox
from receiver.store.timescale import TimescaleStore
from tests.store.data import CATALOGUE, DAY_MS, HOUR_MS, NAN, T0, finished, label, scores_of

PUMP = NodeName("east", "pump-1")
NOW_MS = T0 + 1000


class Pair:
    """A service's own file and another store that all share, which may be away."""

    def __init__(self, here: Path, common: Callable[[], RowReader], away: Callable[[], RowReader]) -> None:
        self.path = here
        self.away = False
        self._common, self._away = common, away
        fill(EmbeddedStore.open(here, CATALOGUE), {7: NodeName("east", "another"), 8: PUMP}, (20, 30))
        self.feedback = Feedback(self.here, self.common)

    def here(self) -> EmbeddedReader:
        return EmbeddedReader.open(self.path, CATALOGUE)

    def common(self) -> RowReader:
        return self._away() if self.away else self._common()

    def said(self) -> list[list[Label]]:
        """What holds in each."""
        found = []
        for reader in (self.here(), self._common()):
            with closing(reader):
                found.append([replace(one, id=0) for one in reader.labels(0, 1 << 50)])
        return found

    def another(self) -> Pair:
        """Another replica over the same store."""
        return Pair(self.path.with_name("another.db"), self._common, self._away)


def fill(store: RowStore, names: dict[int, NodeName], times: tuple[int, ...]) -> None:
    """Scores of the pump, whose id is the last, that rise with the time."""
    with closing(store):
        store.add_nodes(names)
        node = max(names)
        scores = scores_of(*((node, T0 + time, time / 10, (0,) * 3, (NAN,) * 3) for time in times))
        store.write(finished(scores=scores))


def refused() -> RowReader:
    raise StoreUnavailable("away")


@pytest.fixture
def over_a_file(tmp_path: Path) -> Pair:
    common = tmp_path / "common.db"
    fill(EmbeddedStore.open(common, CATALOGUE), {1: PUMP}, (0, 10, 20))
    return Pair(tmp_path / "here.db", lambda: EmbeddedReader.open(common, CATALOGUE), refused)


@pytest.fixture
def over_timescale(tmp_path: Path, timescale_dsn: str) -> Pair:
    fill(TimescaleStore.connect(timescale_dsn, CATALOGUE), {1: PUMP}, (0, 10, 20))
    nobody = "postgresql://postgres@127.0.0.1:1/nodescore"
    return Pair(
        tmp_path / "here.db",
        lambda: TimescaleStore.connect(timescale_dsn, CATALOGUE),
        lambda: TimescaleStore.connect(nobody, CATALOGUE),
    )


@pytest.fixture(params=["over_a_file", pytest.param("over_timescale", marks=pytest.mark.real("timescale"))])
def pair(request: pytest.FixtureRequest) -> Pair:
    chosen: Pair = request.getfixturevalue(request.param)
    return chosen


def test_the_past_is_the_common_stores_and_what_has_not_been_passed_on_yet(pair: Pair) -> None:
    past = pair.feedback.past(PUMP, T0, T0 + 100)
    assert (past.source, (past.scores.time_ms - T0).tolist()) == (COMMON, [0, 10, 20, 30])


def test_while_the_common_store_is_away_the_past_is_what_is_here_and_says_so(pair: Pair) -> None:
    pair.away = True
    past = pair.feedback.past(PUMP, T0, T0 + 100)
    assert (past.source, (past.scores.time_ms - T0).tolist()) == (AWAY, [20, 30])


def test_a_label_is_kept_in_both_stores_with_the_highest_score_of_either(pair: Pair) -> None:
    kept = pair.feedback.add(label(PUMP, T0, T0 + 100), NOW_MS)
    assert (kept.score, pair.feedback.labels(0, 1 << 50).source) == (3.0, COMMON)
    here, common = pair.said()
    assert here == common == [replace(kept, id=0)]


def test_a_label_that_was_made_while_the_common_store_was_away_is_here(pair: Pair) -> None:
    pair.away = True
    kept = pair.feedback.add(label(PUMP, T0 + 20, T0 + 100), NOW_MS)
    assert pair.said() == [[replace(kept, id=0)], []]


def test_of_two_edits_of_one_revision_the_second_is_refused_and_kept_nowhere(pair: Pair) -> None:
    first = pair.feedback.add(label(PUMP, T0, T0 + 100), NOW_MS)
    for author in ("bob", "cid"):
        after = replace(first, author=author, created_ms=NOW_MS)
        if author == "bob":
            pair.feedback.revise(next_revision(first, after), NOW_MS)
        else:
            with pytest.raises(Conflict, match="bob"):
                pair.feedback.revise(next_revision(first, after), NOW_MS)
    assert [[one.author for one in said] for said in pair.said()] == [["bob"], ["bob"]]


def test_a_revision_of_the_same_interval_is_about_the_same_row_also_when_that_is_gone(pair: Pair) -> None:
    first = pair.feedback.add(label(PUMP, T0, T0 + 100), NOW_MS)
    after = next_revision(first, replace(first, details="more", score=None, moment=None))
    assert (after.score, after.moment) == (first.score, first.moment)
    moved = next_revision(first, replace(first, start_ms=T0 + 1))
    assert (moved.score, moved.moment) == (None, None)


def test_what_one_replica_has_said_another_sees_and_edits(pair: Pair) -> None:
    first = pair.feedback.add(label(PUMP, T0, T0 + 100), NOW_MS)
    other = pair.another()
    assert [replace(one, id=0) for one in other.feedback.labels(0, 1 << 50).labels] == [replace(first, id=0)]
    other.feedback.revise(next_revision(first, replace(first, author="bob", created_ms=NOW_MS)), NOW_MS)
    assert [one.author for one in pair.feedback.history(labelling.key_of(first)).labels] == ["ann", "bob"]
    with pytest.raises(Conflict, match="bob"):
        pair.feedback.revise(next_revision(first, replace(first, author="cid", created_ms=NOW_MS)), NOW_MS)


@pytest.mark.real("timescale")
def test_of_two_replicas_that_edit_one_label_while_the_database_is_away_both_are_kept_and_the_later_holds(
    over_timescale: Pair, timescale_dsn: str
) -> None:
    one, other = over_timescale, over_timescale.another()
    first = one.feedback.add(label(PUMP, T0, T0 + 100), NOW_MS)
    with closing(other.here()) as here:
        here.add_label(first)  # it had been told of it too
    for author, replica in (("cid", other), ("bob", one)):  # the later one is passed on first
        replica.away = True
        created_ms = NOW_MS + (author == "cid")
        after = next_revision(first, replace(first, author=author, created_ms=created_ms))
        replica.feedback.revise(after, NOW_MS + 1)
        replica.away = False
        outbox = Outbox(
            replica.path, CATALOGUE, lambda: TimescaleStore.connect(timescale_dsn, CATALOGUE), HOUR_MS, 30 * DAY_MS
        )
        outbox.forward_once(NOW_MS)
        outbox.close()
    history = one.feedback.history(labelling.key_of(first)).labels
    assert [(said.revision, said.author) for said in history] == [(1, "ann"), (2, "bob"), (2, "cid")]
    assert [said.author for said in other.feedback.labels(0, 1 << 50).labels] == ["cid"]
