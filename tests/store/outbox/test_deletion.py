"""What was passed on is deleted here when it is old, and there when it is older; what waits never is."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from receiver.columns import NodeName
from receiver.detector.states import STATE_KEPT_MS
from receiver.store import States
from receiver.store.embedded import EmbeddedStore
from receiver.store.outbox import CONNECTION_MS, TRIM_INTERVAL_MS
from tests.store.data import CATALOGUE, DAY_MS, HOUR_MS, NAN, T0, finished, stored_rows, stored_scores
from tests.store.outbox.pair import PUMP, Pair, flush


def test_rows_that_were_passed_on_are_deleted_when_they_are_old(pair: Pair) -> None:
    pair.source.write(flush(T0 - 2 * HOUR_MS, T0 - HOUR_MS, T0))
    pair.drain(T0)
    assert [time_ms for _, time_ms in stored_rows(pair.source)] == [T0 - HOUR_MS, T0]
    assert [time_ms for _, time_ms in stored_scores(pair.source)] == [T0 - HOUR_MS, T0]
    assert pair.target is not None
    assert len(stored_rows(pair.target)) == len(stored_scores(pair.target)) == 3


def test_rows_that_wait_are_never_deleted(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.store.outbox.BLOCK_ROWS", 1)
    old = T0 - 2 * HOUR_MS
    pair.source.write(finished([(1, old + i, (i, i, i)) for i in range(3)]))
    for step, left in enumerate((2, 1, 0)):
        assert pair.outbox.forward_once(T0 + step * TRIM_INTERVAL_MS) == 1
        assert len(stored_rows(pair.source)) == left


def test_numbers_go_on_when_everything_was_passed_on_and_deleted(pair: Pair) -> None:
    pair.source.write(flush(T0 - 2 * HOUR_MS))
    pair.drain()
    assert stored_rows(pair.source) == {}
    pair.source.close()
    pair.source = EmbeddedStore.open(pair.source.path, CATALOGUE)
    pair.source.write(flush(T0))
    assert pair.drain() == 2


def test_a_late_piece_of_a_row_that_is_gone_here_only_fills_there(pair: Pair) -> None:
    old = T0 - 2 * HOUR_MS
    pair.source.write(finished([(1, old, (1, NAN, 3))]))
    pair.drain()
    assert stored_rows(pair.source) == {}
    pair.source.write(finished(fills=[(1, old, (10, 20, NAN))]))
    pair.drain()
    assert pair.target is not None
    assert stored_rows(pair.target) == {(PUMP, old): (1, 20, 3)}


def test_what_is_older_than_the_retention_is_deleted_there_once_an_hour(pair: Pair) -> None:
    pair.source.write(flush(T0))
    pair.drain(T0)
    later = T0 + 30 * DAY_MS
    pair.source.write(flush(later + 1))
    pair.drain(later + 1)
    assert pair.target is not None
    assert [time_ms for _, time_ms in stored_rows(pair.target)] == [later + 1]
    pair.source.write(flush(T0 + 2))  # arrives too late for this hour's deletion
    pair.drain(later + HOUR_MS)
    assert len(stored_rows(pair.target)) == 2
    pair.drain(later + 1 + HOUR_MS)
    assert [time_ms for _, time_ms in stored_rows(pair.target)] == [later + 1]


def test_states_of_nodes_that_are_silent_for_days_are_deleted_there(pair: Pair) -> None:
    states = States("v1", np.array([1, 2], np.int32), np.array([T0, T0 + DAY_MS]), np.ones((2, 1), np.float32))
    pair.source.save_states(states)
    pair.drain(T0)
    pair.drain(T0 + STATE_KEPT_MS + HOUR_MS)
    assert pair.target is not None
    left = pair.target.load_states("v1")
    assert left is not None
    assert left.node.tolist() == [2]


def test_nothing_is_kept_of_nodes_that_are_forgotten(tmp_path: Path) -> None:
    with closing(Pair(tmp_path, keep_ms=-1)) as pair:
        for number in range(10, 60):
            now_ms = T0 + number * HOUR_MS
            pair.source.add_nodes({number: NodeName("east", f"pod-{number}")})
            pair.source.write(finished([(number, now_ms, (1, 2, 3))]))
            pair.source.save_states(States("v1", np.array([number], "i4"), np.array([now_ms]), np.ones((1, 1), "f4")))
            pair.drain(now_ms)
            pair.source.forget_nodes(set(range(number)))
            pair.source.forget_states(now_ms)
        pair.drain(now_ms + CONNECTION_MS)
        assert pair.outbox._states_ms.keys() == {58, 59}
        assert pair.outbox._named == set()
        assert pair.target is not None
        assert len(stored_rows(pair.target)) == 50


def test_a_clock_that_is_set_back_holds_up_neither_deleting_nor_states(pair: Pair) -> None:
    pair.outbox.forward_once(T0 + 30 * DAY_MS)
    pair.source.write(flush(T0, T0 + HOUR_MS))
    node, time_ms = np.array([1], np.int32), np.array([T0], np.int64)
    pair.source.save_states(States("m", node, time_ms, np.ones((1, 2), np.float32)))
    pair.drain(T0 + HOUR_MS + 1)
    assert [time_ms for _, time_ms in stored_rows(pair.source)] == [T0 + HOUR_MS]
    assert pair.target is not None
    assert pair.target.load_states("m") is not None
