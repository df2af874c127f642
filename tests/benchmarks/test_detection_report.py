"""Comparison, curves and tables say what the figures say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.detection import curves, report
from benchmarks.detection.compare import against, paired
from models.measures import Labelled


def test_a_difference_that_every_node_has_is_certain() -> None:
    found = paired(np.array([0.5, 0.6, 0.7]), np.array([0.4, 0.5, 0.6]), seed=0)
    assert (found.mean, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))
    assert found.nodes == 3


def test_the_interval_is_that_of_the_mean_over_nodes() -> None:
    difference = np.random.default_rng(1).normal(0.1, 0.2, size=400)
    found = paired(difference, np.zeros(400), seed=0)
    half_width = 1.96 * difference.std() / np.sqrt(400)
    assert found.low == pytest.approx(difference.mean() - half_width, rel=0.1)
    assert found.high == pytest.approx(difference.mean() + half_width, rel=0.1)


def test_the_interval_follows_from_the_seed() -> None:
    one, other = np.array([0.1, 0.5, 0.9]), np.array([0.2, 0.2, 0.2])
    assert paired(one, other, seed=3) == paired(one, other, seed=3)


def test_only_nodes_and_measures_that_both_have_are_compared() -> None:
    reference: dict[str, dict[str, Any]] = {
        "a": {"auc_pr": 0.1, "accuracy": None},
        "b": {"auc_pr": 0.2},
        "c": {"auc_pr": 0.3},
    }
    other: dict[str, dict[str, Any]] = {"a": {"auc_pr": 0.2, "accuracy": 0.9}, "b": {"auc_pr": 0.3}}
    found = against(reference, other, "budget", seed=0)
    assert set(found) == {"auc_pr"}
    assert found["auc_pr"].nodes == 2
    assert found["auc_pr"].mean == pytest.approx(0.1)


def test_what_an_accuracy_threshold_does_to_alerts_is_not_compared() -> None:
    figures = {name: dict.fromkeys(("accuracy", "event_recall_open"), 0.5) for name in ("a", "b")}
    assert set(against(figures, figures, "accuracy", seed=0)) == {"accuracy"}
    assert set(against(figures, figures, "budget", seed=0)) == {"event_recall_open"}


def day(scores: dict[int, float]) -> Labelled:
    """A day of rows of 10 s without a score but these; its last minute is an attack."""
    score = np.full(8641, 0.1)
    for row, value in scores.items():
        score[row : row + 2] = value
    attack = np.zeros(8641, bool)
    attack[8635:] = True
    return Labelled(np.arange(8641, dtype=np.float64) * 10, score, attack)


def test_a_point_of_the_curve_moves_all_thresholds_by_its_factor() -> None:
    node = day({1000: 0.6, 3000: 0.8, 8636: 0.7})
    low, high = curves.point([node], 0.5), curves.point([node], 0.75)
    assert low is not None
    assert high is not None
    assert low.false_alerts_per_node_day == pytest.approx(2, rel=0.01)
    assert (low.recall_open, low.recall_raised_60s) == (1.0, 1.0)
    assert high.false_alerts_per_node_day == pytest.approx(1, rel=0.01)
    assert high.recall_open == 0.0


def test_the_curve_falls_as_the_factor_rises() -> None:
    points = curves.curve([day({1000: 0.6, 3000: 0.8, 8636: 0.7})])
    factors = [one.factor for one in points]
    assert factors == sorted(factors)
    recalls = [one.recall_open for one in points]
    assert recalls == sorted(recalls, reverse=True)


def test_there_is_no_curve_without_events() -> None:
    node = day({1000: 0.6})
    assert curves.curve([Labelled(node.seconds, node.score, np.zeros(8641, bool))]) == []


def test_the_same_figures_give_the_same_picture(tmp_path: Path) -> None:
    points = curves.as_json(curves.curve([day({1000: 0.6, 3000: 0.8, 8636: 0.7})]))
    for name in ("a.png", "b.png"):
        curves.draw({"one": points}, {"one": points[0]}, "title", tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_column_that_nobody_has_is_left_out_and_a_missing_figure_is_a_dash() -> None:
    columns = (("one", report.number("one", 1)), ("two", report.number("two")), ("three", report.number("three", 2)))
    lines = report.table("detector", {"a": {"one": 1.25}, "b": {"one": None, "three": 0.5}}, columns)
    assert lines == ["| detector | one | three |", "| --- | --- | --- |", "| a | 1.2 | – |", "| b | – | 0.50 |", ""]


def test_a_rate_is_printed_with_its_bound() -> None:
    figures = {"false_alerts": 0, "normal_node_days": 6.0, "false_alerts_per_node_day": 0.0}
    figures["false_alerts_per_node_day_bound_95"] = 0.4993
    assert report.with_bound()(figures) == "0 in 6 d: 0 (≤ 0.499)"
    assert report.with_bound()({"false_alerts_per_node_day": None}) is None
