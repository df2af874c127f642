"""Thresholds from scores of known distributions."""

from __future__ import annotations

import numpy as np
import pytest

from models.threshold import Node, count, for_accuracy, for_budget, node_days, rate_bound
from receiver.errors import DataError


def nodes(days: float, number: int = 10, seed: int = 0, step: float = 60) -> list[Node]:
    """Nodes whose scores are exponential, each row for itself."""
    random = np.random.default_rng(seed)
    rows = int(days * 86400 / step)
    return [Node(np.arange(rows, dtype=np.float64) * step, random.exponential(size=rows)) for _ in range(number)]


def test_with_much_data_the_alerts_are_counted() -> None:
    found = for_budget(nodes(days=6), per_node_day=1)
    assert found.method == "counted"
    assert 45 <= found.alerts <= 60


@pytest.mark.parametrize("budget", [0.1, 1.0])
def test_a_modelled_tail_keeps_the_budget_on_data_that_it_never_saw(budget: float) -> None:
    found = for_budget(nodes(days=0.3, seed=1), budget)
    assert found.method == "tail"
    later = nodes(days=30, seed=2)
    realised = count(later, found.threshold) / node_days(later) / budget
    assert 0 < realised <= 3


def test_a_smaller_budget_is_a_higher_threshold() -> None:
    scores = nodes(days=0.5)
    levels = [for_budget(scores, budget).threshold for budget in (10, 1, 0.1, 0.01)]
    assert levels == sorted(levels)


def test_what_was_seen_does_not_alarm_where_less_than_one_alert_is_allowed() -> None:
    scores = nodes(days=0.1, number=2)
    found = for_budget(scores, 0.1)
    assert found.alerts == 0
    assert found.threshold >= found.highest_score


def test_how_steep_the_tail_is_says_how_far_a_threshold_must_rise_for_e_times_fewer_alerts() -> None:
    # Two rows over it raise an alert: a row as rare as level^-4 makes alerts as rare as level^-8.
    random = np.random.default_rng(3)
    scores = [Node(np.arange(20_000, dtype=np.float64) * 60.0, 1 + random.pareto(4, size=20_000)) for _ in range(4)]
    assert for_budget(scores, 0.5).tail_log_scale == pytest.approx(1 / 8, rel=0.3)


def test_the_bound_says_how_little_a_short_time_proves() -> None:
    found = for_budget(nodes(days=0.1, number=2), 0.1)
    assert found.bound_95_per_node_day == pytest.approx(3.0 / 0.2, rel=0.02)


def test_zero_alerts_in_a_day_bound_the_rate_at_three() -> None:
    assert rate_bound(0, 1) == pytest.approx(3.0, abs=0.01)


def test_gaps_are_no_time_watched() -> None:
    assert node_days([Node(np.array([0.0, 60.0, 86400.0]), np.zeros(3))]) == pytest.approx((60 + 900) / 86400)


def test_scores_that_are_all_zero_give_no_threshold() -> None:
    with pytest.raises(DataError, match="too few normal rows"):
        for_budget([Node(np.arange(10.0), np.zeros(10))], 1)


@pytest.mark.parametrize(
    ("score", "attack", "expected"),
    [
        ([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], 0.5),
        ([0.9, 0.2, 0.8, 0.7], [0, 0, 1, 1], 0.45),
        ([0.5, 0.5, 0.5, 0.9], [0, 0, 1, 1], 0.7),
    ],
)
def test_accuracy_puts_the_threshold_between_the_classes(
    score: list[float], attack: list[int], expected: float
) -> None:
    assert for_accuracy(np.array(score), np.array(attack, bool)) == pytest.approx(expected)
