"""How far the rows are from those that a model was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from receiver.columns import Float32
from receiver.detector import ModelInfo
from receiver.drift import HALF_LIFE_SECONDS, MIN_ROWS, Drift

QUANTILES = [float(value) for value in range(11)]  # of a feature that is evenly between 0 and 10


def drift(**quantiles: Any) -> Drift:
    return Drift(
        ModelInfo(
            version="1",
            detector="test",
            created="2026-11-20T08:00:00Z",
            feature_names=("even", "constant", "other"),
            state_size=0,
            provenance={"data": {"quantiles": quantiles}},
            path=Path("model.onnx"),
            sha256="",
        )
    )


def rows(even: Float32, constant: float = 0.0) -> Float32:
    return np.column_stack([even, np.full(len(even), constant), even]).astype(np.float32)


def evenly(low: float, high: float, count: int = 1000) -> Float32:
    return np.linspace(low, high, count, dtype=np.float32)


def test_rows_like_those_of_the_training_have_no_drift() -> None:
    one = drift(even=QUANTILES, constant=[0.0] * 11)
    one.count(rows(evenly(0.001, 9.999)))
    assert one.indices() == pytest.approx({"even": 0, "constant": 0}, abs=0.01)


def test_the_index_is_the_one_counted_by_hand() -> None:
    one = drift(even=QUANTILES)
    one.count(rows(evenly(0.001, 4.999)))  # five classes have a fifth each, five have none
    five_fuller = 5 * (0.2 - 0.1) * np.log(0.2 / 0.1)
    five_empty = 5 * (0.001 - 0.1) * np.log(0.001 / 0.1)
    assert one.indices() == pytest.approx({"even": five_fuller + five_empty}, rel=0.01)


def test_a_feature_that_was_constant_drifts_when_it_moves() -> None:
    one = drift(constant=[0.0] * 11)
    one.count(rows(evenly(0, 10), constant=3.0))
    assert one.indices()["constant"] > 1


def test_missing_values_are_left_out() -> None:
    one = drift(even=QUANTILES)
    one.count(np.full((1000, 3), np.nan, np.float32))
    assert one.indices() == {}
    one.count(rows(evenly(0.001, 9.999)))
    assert one.indices() == pytest.approx({"even": 0}, abs=0.01)


def test_nothing_is_said_of_too_few_rows_nor_when_they_have_faded() -> None:
    one = drift(even=QUANTILES)
    one.count(rows(evenly(0, 10, int(MIN_ROWS) - 1)))
    assert one.indices() == {}
    one.count(rows(evenly(0, 10, 10)))
    assert set(one.indices()) == {"even"}
    one.fade(HALF_LIFE_SECONDS)
    assert one.indices() == {}


@pytest.mark.parametrize(
    "quantiles", [None, {}, [1.0] * 9, [*QUANTILES[1:], 0.0], ["a"] * 11, [float("nan")] * 11], ids=str
)
def test_what_are_no_quantiles_are_as_if_there_were_none(quantiles: object) -> None:
    one = drift(even=quantiles)
    one.count(rows(evenly(0, 10)))
    assert one.indices() == {}
