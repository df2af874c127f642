"""Every row, fill, score and label is passed on, in blocks and in order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.store.data import NAN, T0, finished, label, scores_of, stored_rows, stored_scores
from tests.store.outbox.pair import PUMP, Pair, flush


def test_rows_scores_and_labels_arrive(pair: Pair) -> None:
    pair.source.write(flush(T0, T0 + 1))
    pair.source.add_label(replace(label(PUMP, T0, T0 + 5), verdict="TP"))
    assert pair.drain() == 5
    assert pair.target is not None
    assert stored_rows(pair.target) == stored_rows(pair.source)
    assert stored_scores(pair.target) == stored_scores(pair.source)
    assert pair.target.labels(0, 1 << 50) == pair.source.labels(0, 1 << 50)


def test_what_has_arrived_is_not_passed_on_again(pair: Pair) -> None:
    pair.source.write(flush(T0))
    assert pair.drain() == 2
    pair.source.write(flush(T0))  # says nothing new
    assert pair.drain() == 0
    pair.source.write(finished([(1, T0, (NAN, 2, NAN))]))
    assert pair.drain() == 1


def test_an_outbox_that_starts_later_goes_on_where_the_last_one_ended(pair: Pair) -> None:
    pair.source.write(flush(T0))
    pair.drain()
    pair.outbox.close()
    pair.source.write(flush(T0 + 1))
    assert pair.drain() == 2


def test_scores_of_several_models_arrive_with_their_models(pair: Pair) -> None:
    for i, version in enumerate(("v1", "v2", "v1")):
        pair.source.write(finished(scores=scores_of((1, T0 + i, i, (0,) * 3, (0,) * 3)), model_version=version))
    pair.drain()
    assert pair.target is not None
    for i, version in enumerate(("v1", "v2", "v1")):
        pair.target.add_label(label(PUMP, T0 + i, T0 + i))
        (found,) = pair.target.labels(T0 + i, T0 + i + 1)
        assert (found.score, found.model_version) == (i, version)


def test_long_backlogs_go_in_bounded_blocks(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.store.outbox.BLOCK_ROWS", 4)
    for i in range(10):
        pair.source.write(finished([(1, T0 + i, (i, i, i))]))
    assert [pair.outbox.forward_once(T0) for _ in range(4)] == [4, 4, 2, 0]
    assert pair.target is not None
    assert stored_rows(pair.target) == stored_rows(pair.source)


def test_a_row_that_changes_after_it_was_read_ahead_comes_again(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.store.outbox.BLOCK_ROWS", 1)
    pair.source.write(finished([(1, T0 + i, (i, NAN, i)) for i in range(3)]))
    assert pair.outbox.forward_once(T0) == 1  # and the next one is read
    pair.source.write(finished([(1, T0 + 1, (7, 7, NAN))]))
    assert pair.drain() == 3
    assert pair.target is not None
    assert stored_rows(pair.target) == stored_rows(pair.source)
