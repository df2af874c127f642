"""A catalogue that has nothing in common with the 24 features goes through the same code."""

from __future__ import annotations

import numpy as np
import pytest

from receiver.columns import Rows
from receiver.features import Features
from receiver.rows import Leaving
from tests.workloads import WORKLOADS

LABELS = {
    "requests": {"__name__": "http_requests_total"},
    "memory": {"__name__": "memory_bytes"},
    "limit": {"__name__": "memory_limit_bytes"},
    "percent": {"__name__": "memory_percent"},
    "up": {"__name__": "replicas", "state": "up"},
    "down": {"__name__": "replicas", "state": "down"},
}
TERM = {name: WORKLOADS.term_of(labels) for name, labels in LABELS.items()}
NAN = float("nan")


def block(*series: tuple[str, float, float], missing: tuple[str, ...] = (), seen: tuple[str, ...] = ()) -> Rows:
    """One row of (term, value, rate), of which some more are expected and missing, some have been seen before."""
    leaving = Leaving.room(1, len(WORKLOADS.terms))
    sums = leaving.sums
    for column in sums:
        column[:] = 0
    for name, value, rate in series:
        sums.total[0, TERM[name]] += value
        sums.rate[0, TERM[name]] += rate
        sums.present[0, TERM[name]] += 1
    for name in missing:
        sums.missing[0, TERM[name]] = True
    for name in (*seen, *missing, *(name for name, _, _ in series)):
        sums.had[0, TERM[name]] = True
    return Features(WORKLOADS).rows(leaving)


def raw(one: Rows, feature: str) -> float:
    return float(one.raw[0, WORKLOADS.feature_names.index(feature)])


def x(one: Rows, feature: str) -> float:
    return float(one.x[0, WORKLOADS.feature_names.index(feature)])


def test_a_sum_is_scaled() -> None:
    assert raw(block(("requests", 3.0, 1.0), ("requests", 4.0, 1.0)), "requests") == 14.0


def test_a_rate_is_scaled_and_divided_by_the_series_of_another_feature() -> None:
    one = block(("requests", 3.0, 1.0), ("requests", 4.0, 2.0), ("up", 1.0, NAN), ("up", 1.0, NAN))
    assert x(one, "requests") == pytest.approx(3.0)


def test_a_rate_is_missing_where_one_of_its_series_has_none() -> None:
    one = block(("requests", 3.0, 1.0), ("requests", 4.0, NAN), ("up", 1.0, NAN))
    assert raw(one, "requests") == 14.0
    assert np.isnan(x(one, "requests"))


def test_a_sum_is_missing_where_an_expected_series_is() -> None:
    assert np.isnan(raw(block(("requests", 3.0, 1.0), missing=("requests",)), "requests"))


def test_the_first_source_is_taken() -> None:
    assert raw(block(("memory", 1.0, NAN), ("limit", 4.0, NAN), ("percent", 70.0, NAN)), "memory_share") == 25.0


def test_the_fallback_is_taken_where_the_first_does_not_exist() -> None:
    assert raw(block(("percent", 70.0, NAN)), "memory_share") == 70.0


def test_a_fallback_does_not_stand_in_for_a_source_that_is_late() -> None:
    assert np.isnan(raw(block(("percent", 70.0, NAN), missing=("memory",)), "memory_share"))


@pytest.mark.parametrize("limit", [0.0, NAN])
def test_a_quotient_by_zero_is_missing(limit: float) -> None:
    assert np.isnan(raw(block(("memory", 1.0, NAN), ("limit", limit, NAN)), "memory_share"))


def test_absent_is_zero_once_the_metric_has_been_seen() -> None:
    assert raw(block(("up", 5.0, NAN)), "replicas_down") == 0.0
    assert raw(block(seen=("up",)), "replicas") == 0.0


def test_absent_is_missing_where_the_metric_was_never_seen() -> None:
    assert np.isnan(raw(block(("requests", 1.0, NAN)), "replicas"))


def test_absent_is_missing_where_the_series_is_only_late() -> None:
    assert np.isnan(raw(block(("down", 1.0, NAN), missing=("up",)), "replicas"))
