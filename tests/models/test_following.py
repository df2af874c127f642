"""That what is computed seldom is computed where it must be, and changes nothing elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from models.detectors import season
from models.detectors.deviations import HALF_LIVES_SECONDS
from receiver.columns import Float32
from receiver.detector import StepResult
from tests.models.nodes import FEATURES, table
from tests.models.trained import detector

NAME = "mean_z2"
CALM, OTHER = 0, 1
STEP_SECONDS = 10.0


def rows(seconds: float) -> Float32:
    """Of two nodes [rows, 2, F]."""
    return table(nodes=2, seconds=seconds, step=STEP_SECONDS, seed=31).x.reshape(-1, 2, len(FEATURES))


def stepped(x: Float32, state: Float32) -> tuple[StepResult, Float32]:
    """What the last row gives, and the state before it."""
    model, before = detector(NAME), state
    elapsed = np.full(x.shape[1], STEP_SECONDS, np.float32)
    for row in x:
        before = state
        result = model.step(row, elapsed, state)
        state = result.next_state
    return result, before


def initial(nodes: int) -> Float32:
    return np.tile(detector(NAME).initial_state, (nodes, 1))


def test_a_calm_node_comes_to_the_same_beside_one_under_alarm() -> None:
    x = rows(900)
    x[-3:, OTHER, FEATURES.index("cpu_sec_idle")] = 0
    x[-3:, OTHER, FEATURES.index("intr") :] *= 1000
    together, before = stepped(x, initial(2))
    assert together.score[OTHER] > 1
    assert together.score[CALM] < 1
    alone = detector(NAME).step(x[-1, :1], np.full(1, STEP_SECONDS, np.float32), before[:1])
    assert alone.score == pytest.approx(together.score[:1], rel=1e-6)
    assert alone.next_state[0] == pytest.approx(together.next_state[CALM], rel=1e-5, abs=1e-6)


def test_an_hours_end_is_learnt_by_the_node_whose_hour_ends_and_by_no_other() -> None:
    older, _ = stepped(rows(1800)[:, OTHER:], initial(1))
    state = np.concatenate([initial(1), older.next_state])
    x = rows(3600)[-190:]
    together, _ = stepped(x, state)
    alone, _ = stepped(x[:, :1], initial(1))
    features = len(FEATURES)
    first = (len(HALF_LIVES_SECONDS) + 3 + season.ROWS) * features
    means = slice(first, first + features)  # of the first hour
    assert (together.next_state[OTHER, means] != 0).any()
    assert (together.next_state[CALM, means] == 0).all()
    assert alone.next_state[0] == pytest.approx(together.next_state[CALM], rel=1e-3, abs=1e-3)
