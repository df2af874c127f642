"""Watched nodes → figures: which alerts there are, what labels say of them, and whom to look at first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.backtest import Watched
from models.evaluate import figures
from receiver.columns import NodeName
from receiver.detector import ModelInfo

STEP_SECONDS, DAY_ROWS = 10, 8640
START_MS = 1_795_161_600_000  # 2026-11-20T08:00:00Z
FEATURES = ("load", "packets", "forks", "idle")


def node(
    name: str,
    over: tuple[tuple[int, int], ...] = (),
    attack: tuple[int, int] | None = None,
    normal: tuple[int, int] | None = None,
    rows: int = DAY_ROWS,
) -> Watched:
    """Rows ten seconds apart that are over the threshold from row to row; load adds most, then packets."""
    score = np.full(rows, 0.2)
    for first, last in over:
        score[first : last + 1] = 2.0
    at = np.arange(rows)
    marked = [
        (at >= span[0]) & (at <= span[1]) if span is not None else np.zeros(rows, bool) for span in (attack, normal)
    ]
    alarming = np.flatnonzero(score > 1)
    contribution = np.tile(np.array([1.2, 0.6, 0.2, 0.0], np.float32), (len(alarming), 1))
    time_ms = START_MS + 1000 * STEP_SECONDS * at
    return Watched(NodeName("", name), time_ms, score, marked[0], marked[1], alarming, contribution)


def of(*nodes: Watched, asked: float | None = 0.5) -> dict[str, Any]:
    provenance = {} if asked is None else {"threshold": {"asked_per_node_day": asked}}
    return figures(nodes, ModelInfo("m-1", "m", "", FEATURES, 1, provenance, Path("m.onnx"), ""))


def test_alerts_are_counted_by_what_labels_say_of_them() -> None:
    found = of(
        node("a", over=((100, 110), (2000, 2010), (4000, 4010), (6000, 6010)), attack=(95, 120), normal=(2000, 2100))
    )
    assert found["alerts"] == 4
    assert (found["alerts_on_attacks"], found["alerts_on_labelled_normal"], found["alerts_without_label"]) == (1, 1, 2)
    assert [alert["verdict"] for alert in found["each_alert"]] == ["attack", "normal", None, None]


@pytest.mark.parametrize(("first", "verdict"), [(132, "attack"), (133, None)])
def test_an_alert_within_two_minutes_of_an_attack_is_no_false_one(first: int, verdict: str | None) -> None:
    found = of(node("a", over=((first - 1, first + 9),), attack=(100, 120)))
    assert found["each_alert"][0]["verdict"] == verdict
    assert found["false_alerts"] == (verdict is None)


def test_alerts_close_to_each_other_are_several_alerts_and_one_false_alert() -> None:
    found = of(node("a", over=((100, 110), (130, 140))))
    assert (found["alerts"], found["false_alerts"]) == (2, 1)


def test_the_rate_of_alerts_is_over_all_time_watched_and_has_its_bound() -> None:
    found = of(node("a", over=((100, 110),)), node("b"))
    assert found["node_days"] == pytest.approx(2, rel=0.001)
    assert found["alerts_per_node_day"] == pytest.approx(0.5, rel=0.001)
    assert found["alerts_per_node_day_bound_95"] == pytest.approx(4.74 / 2, rel=0.01)


def test_without_an_alert_the_bound_is_three_by_the_days() -> None:
    found = of(*(node(name) for name in "abcdef"))
    assert found["false_alerts_per_node_day"] == 0
    assert found["false_alerts_per_node_day_bound_95"] == pytest.approx(3 / 6, rel=0.01)
    assert found["alerts_per_node_day_bound_95"] == pytest.approx(3 / 6, rel=0.01)


def test_an_alert_is_told_with_its_times_its_height_and_the_features_that_added_most() -> None:
    found = of(node("a", over=((100, 110),)))
    assert found["each_alert"] == [
        {
            "cluster": "",
            "node": "a",
            # The second row over the threshold raises it.
            "raised": "2026-11-20T08:16:50Z",
            "last_over": "2026-11-20T08:18:20Z",
            "highest_score": 2.0,
            "features": ["load", "packets", "forks"],
            "verdict": None,
        }
    ]
    assert found["features_of_alerts"] == {"load": 1, "packets": 1, "forks": 1}


def test_of_a_model_without_contributions_alerts_have_no_features() -> None:
    one = node("a", over=((100, 110),))
    one.contribution[:] = np.nan
    assert of(one)["each_alert"][0]["features"] == []


def test_nodes_with_most_false_alerts_and_missed_attacks_come_first() -> None:
    found = of(
        node("calm"),
        node("missed", attack=(100, 120)),
        node("noisy", over=((100, 110), (2000, 2010))),
        node("caught", over=((100, 120),), attack=(100, 120)),
    )
    assert [of_node["node"] for of_node in found["per_node"]] == ["noisy", "missed", "caught", "calm"]
    assert [of_node["false_alerts"] for of_node in found["per_node"]] == [2, 0, 0, 0]
    assert [of_node["events_raised_60s"] for of_node in found["per_node"]] == [0, 0, 1, 0]


def test_realised_false_alerts_are_held_against_those_asked_for() -> None:
    found = of(node("a", over=((100, 110), (2000, 2010))), node("b"), asked=0.5)
    assert found["calibration"] == pytest.approx(2, rel=0.001)
    assert (found["calibration_median"], found["calibration_worst"]) == (
        pytest.approx(2, rel=0.001),
        pytest.approx(4, rel=0.001),
    )


def test_a_threshold_that_was_asked_for_no_budget_is_held_against_none() -> None:
    assert not [name for name in of(node("a"), asked=None) if "calibration" in name]


def test_false_alerts_of_a_nodes_first_minutes_are_told_by_themselves() -> None:
    found = of(node("a", over=((10, 20), (5000, 5010))))
    assert [found[f"cold_{part}_false_alerts"] for part in ("10min", "1h", "1day")] == [1, 1, 2]


def test_a_node_of_one_row_has_figures_that_are_json() -> None:
    found = of(node("a", rows=1))
    assert found["alerts_per_node_day"] is None
    json.dumps(found, allow_nan=False)
