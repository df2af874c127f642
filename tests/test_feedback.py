"""Feedback over two stores: the common one is believed, and while it is away this service's own file is used."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from receiver.columns import NodeName
from receiver.errors import Conflict, StoreUnavailable
from receiver.feedback import AWAY, COMMON, Feedback, next_revision
from receiver.store import Label
from receiver.store.embedded import EmbeddedStore
from receiver.store.reader import EmbeddedReader
from tests.store.data import CATALOGUE, NAN, T0, finished, label, scores_of

PUMP = NodeName("east", "pump-1")
NOW_MS = T0 + 1000


class Pair:
    """A service's own file and another one that all share, which may be away."""

    def __init__(self, folder: Path) -> None:
        self.away = False
        self._here, self._common = folder / "here.db", folder / "common.db"
        for path, times in ((self._here, (20, 30)), (self._common, (0, 10, 20))):
            with closing(EmbeddedStore.open(path, CATALOGUE)) as store:
                store.add_nodes({7: NodeName("east", "another"), 8: PUMP} if path == self._here else {1: PUMP})
                node = 8 if path == self._here else 1
                scores = scores_of(*((node, T0 + time, time / 10, (0,) * 3, (NAN,) * 3) for time in times))
                store.write(finished(scores=scores))
        self.feedback = Feedback(self.here, self.common)

    def here(self) -> EmbeddedReader:
        return EmbeddedReader.open(self._here, CATALOGUE)

    def common(self) -> EmbeddedReader:
        if self.away:
            raise StoreUnavailable("away")
        return EmbeddedReader.open(self._common, CATALOGUE)

    def said(self) -> list[list[Label]]:
        """What holds in each."""
        found = []
        for reader in (self.here(), EmbeddedReader.open(self._common, CATALOGUE)):
            with closing(reader):
                found.append([replace(one, id=0) for one in reader.labels(0, 1 << 50)])
        return found


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


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
