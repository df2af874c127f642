"""What damage costs that SQLite finds nothing wrong with: what it hits, and nobody else's rows."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import numpy as np
import pytest

from receiver.columns import NodeName
from tests.store.data import NAN, T0, finished, scores_of, states_of, stored_rows, stored_scores
from tests.store.outbox.pair import PUMP, Pair, flush


def damaged(pair: Pair, *statements: str) -> None:
    """Change the source as no service does, and pass it on."""
    with closing(sqlite3.connect(pair.source.path)) as other, other:
        for statement in statements:
            other.execute(statement)
    pair.drain()


def test_vectors_and_states_whose_type_has_changed_are_read_as_they_are(pair: Pair) -> None:
    pair.source.write(finished(scores=scores_of((1, T0, 0.5, (-1.3, NAN, 3), (0.7, -1e9, 0)))))
    pair.source.save_states(states_of("v1", 1))
    before = stored_scores(pair.source)
    damaged(
        pair,
        "UPDATE states SET state = CAST(state AS TEXT)",
        "UPDATE pump_scores SET x = CAST(x AS TEXT), contribution = CAST(contribution AS TEXT)",
    )
    assert pair.target is not None
    assert stored_scores(pair.source) == stored_scores(pair.target) == before
    for store in (pair.source, pair.target):
        loaded = store.load_states("v1")
        assert loaded is not None
        np.testing.assert_array_equal(loaded.state, states_of("v1", 1).state)


def test_scores_of_a_model_that_nobody_knows_are_not_passed_on(pair: Pair) -> None:
    pair.source.write(flush(T0, T0 + 1))
    damaged(pair, f"UPDATE pump_scores SET model = 77 WHERE time_ms = {T0}")
    assert pair.target is not None
    assert list(stored_scores(pair.target)) == [(PUMP, T0 + 1)]
    assert len(stored_rows(pair.target)) == 2


@pytest.mark.parametrize("value", ["'x'", "x'00'", "x''"])
def test_a_value_that_is_no_number_any_more_is_missing(pair: Pair, value: str) -> None:
    pair.source.write(flush(T0, T0 + 1))
    damaged(
        pair,
        f"UPDATE pump_samples SET flow = {value} WHERE time_ms = {T0}",
        f"UPDATE pump_samples SET late = {value} WHERE time_ms = {T0 + 1}",
    )
    assert pair.target is not None
    whole: dict[tuple[NodeName, int], tuple[float | None, ...]] = {
        (PUMP, T0): (None, None, 3),
        (PUMP, T0 + 1): (1, None, 3),
    }
    assert stored_rows(pair.source) == stored_rows(pair.target) == whole
