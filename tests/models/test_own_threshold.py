"""How a node's own threshold follows its false alerts, on measures that are made up."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models import own_threshold
from models.following import next_state
from models.graph import Graph
from models.own_threshold import HIGHEST_FACTOR, LOWEST_FACTOR, PAUSE, STEP, Alarm, around
from models.run import probe
from models.threshold import Node, count, node_days
from receiver.columns import Float32, Float64
from receiver.detector import Detector

ROW_SECONDS = 900.0
ROWS_PER_DAY = 96
# Rows with an exponential measure raise 2 · 96 · exp(−2 · level) alerts a day: this many, and e times fewer at a level
# 0.5 higher.
BUDGET = 2.0
LEVEL, LOG_SCALE = 2.28, 0.22
# A few quiet rows lower a threshold by so little.
FEW_ROWS = 1e-2


def detector(alarm: Alarm) -> Detector:
    """The measure is the only feature."""
    graph = Graph()
    known = graph.op("Where", graph.op("IsNaN", "x"), graph.const(0), "x")
    judged = own_threshold.judge(graph, graph.op("Clip", known, graph.const(0), graph.const(1e9)), alarm, 0)
    return probe(
        graph.close(
            score=graph.op("Squeeze", judged.score, graph.const([1], np.int64)),
            next_state=next_state(graph, judged.following) if judged.following else "state",
            contribution=None,
            features=("measure",),
            state=own_threshold.initial_state(alarm),
        )
    )


OWN = Alarm(LEVEL, around(LEVEL, 0.0, None, BUDGET, LOG_SCALE))


def scores(measure: Float64, alarm: Alarm = OWN, row_seconds: float = ROW_SECONDS) -> Float32:
    """Of one node's rows [R]."""
    model = detector(alarm)
    state, found = model.initial_state[None], []
    for value in measure.astype(np.float32):
        result = model.step(np.full((1, 1), value), np.full(1, row_seconds, np.float32), state)
        state = result.next_state
        found.append(result.score[0])
    return np.array(found, np.float32)


def factor(measure: Float64, alarm: Alarm = OWN, row_seconds: float = ROW_SECONDS) -> float:
    """By how much the node's threshold differs from the population's after these rows."""
    return 1 / (LEVEL * float(scores(np.append(measure, 1.0), alarm, row_seconds)[-1]))


def days(number: float, value: float = 0.0) -> Float64:
    return np.full(round(number * ROWS_PER_DAY), value)


# As long as an alert's lesson takes to come: after the pause, and the two rows that a row over it is remembered for.
AFTER = days(PAUSE / BUDGET + 2 / ROWS_PER_DAY)

# Each as soon as the one before it has taught.
ALERTS = np.tile(np.concatenate([days(1 / 32, 1e9), AFTER]), 60)


def rate(score: Float32) -> float:
    """Alerts a day."""
    node = Node(np.arange(len(score), dtype=np.float64) * ROW_SECONDS, score.astype(np.float64))
    return count([node], 1.0) / node_days([node])


@pytest.mark.parametrize("lively", [0.6, 2.0])
def test_a_livelier_or_calmer_node_comes_to_keep_the_budget(lively: float) -> None:
    measure = lively * np.random.default_rng(0).exponential(size=60 * ROWS_PER_DAY)
    late = slice(len(measure) // 3, None)
    by_population = rate(scores(measure, Alarm(LEVEL))[late]) / BUDGET
    by_node = rate(scores(measure)[late]) / BUDGET
    assert not 1 / 3 < by_population < 3
    assert 1 / 1.5 < by_node < 1.5


def test_a_new_node_has_the_populations_threshold() -> None:
    measure = np.random.default_rng(1).exponential(size=ROWS_PER_DAY // 8)
    assert scores(measure) == pytest.approx(measure / LEVEL, rel=0.03)


def test_an_alert_raises_the_threshold_by_one_step() -> None:
    assert factor(np.append(days(0.1, 2 * LEVEL), AFTER)) == pytest.approx(math.exp(STEP * LOG_SCALE), rel=FEW_ROWS)


def test_while_an_alert_lasts_and_for_a_pause_after_it_the_threshold_stands() -> None:
    assert factor(np.append(days(3, 2 * LEVEL), AFTER[2:])) == pytest.approx(1, rel=FEW_ROWS)


def test_a_single_row_over_it_is_no_alert_and_raises_nothing() -> None:
    assert factor(np.append(2 * LEVEL, np.zeros(2))) == pytest.approx(1, rel=FEW_ROWS)


@pytest.mark.parametrize("height", [1.5, 1e6])
@pytest.mark.parametrize("length", [0.1, 10])
def test_an_alert_teaches_the_same_however_high_and_long_it_is(height: float, length: float) -> None:
    assert factor(np.append(days(length, height * LEVEL), AFTER)) == pytest.approx(
        math.exp(STEP * LOG_SCALE), rel=FEW_ROWS
    )


def test_of_many_alerts_close_together_one_teaches() -> None:
    attacks = np.tile(np.concatenate([days(1 / 32, 9 * LEVEL), days(1 / 96)]), 3)
    assert len(attacks) <= len(AFTER)
    assert factor(np.append(attacks, AFTER)) == pytest.approx(math.exp(STEP * LOG_SCALE), rel=FEW_ROWS)


def test_quiet_time_lowers_it_by_a_step_for_each_alert_that_was_asked_for() -> None:
    assert factor(days(3 / BUDGET)) == pytest.approx(math.exp(-3 * STEP * LOG_SCALE), rel=FEW_ROWS)


def test_it_comes_no_lower_than_the_limit() -> None:
    assert factor(days(60)) == pytest.approx(LOWEST_FACTOR, rel=FEW_ROWS)


def test_it_comes_no_lower_than_the_least_level_that_means_anything() -> None:
    own = around(LEVEL, 0.9 * LEVEL, None, BUDGET, LOG_SCALE)
    assert factor(days(60), Alarm(LEVEL, own)) == pytest.approx(0.9, rel=FEW_ROWS)


def test_it_comes_no_higher_than_the_limit() -> None:
    assert factor(ALERTS) == pytest.approx(HIGHEST_FACTOR, rel=FEW_ROWS)


def test_it_comes_no_higher_than_the_level_that_attacks_reach() -> None:
    own = around(LEVEL, 0.0, 1.2 * LEVEL, BUDGET, LOG_SCALE)
    assert factor(ALERTS, Alarm(LEVEL, own)) == pytest.approx(1.2, rel=FEW_ROWS)


@pytest.mark.parametrize("row_seconds", [10.0, 900.0])
def test_quiet_rows_teach_by_their_time_and_not_by_their_number(row_seconds: float) -> None:
    found = factor(np.zeros(round(0.25 * 86400 / row_seconds)), row_seconds=row_seconds)
    assert math.log(found) == pytest.approx(-STEP * LOG_SCALE * BUDGET * 0.25, rel=0.03)


def test_a_gap_is_no_quiet_time() -> None:
    assert factor(np.zeros(10), row_seconds=1e6) > 0.97


def test_a_threshold_that_is_not_a_nodes_own_has_no_state() -> None:
    assert detector(Alarm(LEVEL)).info.state_size == 0
