"""What the calibration table says of counts, on hand-made cases; and that nodes never judge themselves."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.detection.calibration import Rows, chance, halves, line
from benchmarks.detection.cases import node_table
from models.measures import Found


def found(alerts: int, days: float) -> Found:
    nothing = np.empty(0)
    return Found(nothing, nothing, nothing, 0, alerts, 0.0, days * 86400, days * 86400)


def cells(alerts: list[int], days: float, budget: float) -> list[str]:
    return line([found(count, days) for count in alerts], budget).split(" | ")


def test_realised_over_asked_for_is_told_of_all_of_the_median_and_of_the_extremes() -> None:
    budget, days, alerts, ratio, median, worst, least, within = cells([1, 2, 9], days=4, budget=0.5)
    assert (budget, days, alerts) == ("0.5", "12", "12")
    assert ratio.startswith("2.00 (")
    assert (median, worst.split()[0], least) == ("1.00", "4.50", "0.50")
    assert within == "2 of 3"


def test_the_interval_is_that_of_poisson_counts() -> None:
    # Garwood 1936: of 10 events, 4.80 … 18.39.
    assert cells([10], days=10, budget=1)[3] == "1.00 (0.48 … 1.84)"


def test_no_alert_has_an_upper_bound_only() -> None:
    assert cells([0], days=10, budget=1)[3] == "0.00 (0.00 … 0.37)"


def test_chance_alone_makes_one_of_many_nodes_look_bad() -> None:
    random = np.random.default_rng(0)
    days = np.full(7, 6.0)
    drawn = np.median((random.poisson(0.5 * days, size=(4000, 7)) / days / 0.5).max(axis=1))
    assert chance(days, 0.5) == pytest.approx(drawn, rel=0.01)


def test_no_node_is_judged_by_a_model_that_it_trained() -> None:
    tables = {
        name: node_table(name, ("a",), np.arange(3, dtype=np.int64), np.zeros((3, 1), np.float32)) for name in "abcd"
    }
    for train, judge in halves([Rows(name, tables[name], tables[name]) for name in "abcda"]):
        assert not {node.node for node in train.nodes} & {node.node for node in judge.nodes}
        assert {node.node for node in train.nodes} | {node.node for node in judge.nodes} == set("abcd")
