"""How far the rows of the last hours are from those that the model was trained on, feature by feature.

In: model inputs. Out: each feature's population stability index, Σ (q − p) ln(q / p) over ten classes, p being the
share of the training rows in a class and q that of the rows since (Siddiqi, "Credit Risk Scorecards", 2006: under 0.1
the same population, over 0.25 another one). The classes are bounded by the training rows' deciles. The model's
provenance has them, from the least to the largest value, as `data.quantiles`; of a model or a feature without them,
nothing is said. Missing values are left out. Costs 5 ns a value; raises nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from receiver.columns import Bool, Float32, Float64
from receiver.compiled import compiled
from receiver.detector import ModelInfo

CLASSES = 10
# A day and a night fade within each other: what the hours of a day do is no drift, what a rollout does shows in hours.
HALF_LIFE_SECONDS = 12 * 3600.0
# Under so many rows a class of a tenth is off by a sixth from chance alone.
MIN_ROWS = 500.0
# The least share that a class is taken to have, so that one that is empty is no infinite surprise.
LEAST_SHARE = 1e-3


class Drift:
    """Of the rows that a model has seen since the start."""

    def __init__(self, info: ModelInfo) -> None:
        self._names = info.feature_names
        features = len(self._names)
        self._edges: Float64 = np.full((features, CLASSES - 1), np.inf)
        self._expected: Float64 = np.zeros((features, CLASSES))
        self._known: Bool = np.zeros(features, np.bool_)
        self._seen: Float64 = np.zeros((features, CLASSES))
        for feature, quantiles in enumerate(map(_quantiles_of(info).get, self._names)):
            if _are_quantiles(quantiles):
                values = np.array(quantiles, np.float64)
                edges = np.unique(values[1:-1])
                below = (np.searchsorted(values, edges, side="right") - 1) / CLASSES
                self._edges[feature, : len(edges)] = edges
                self._expected[feature, : len(edges) + 1] = np.diff(below, prepend=0.0, append=1.0)
                self._known[feature] = True
        _count(np.empty((0, features), np.float32), self._edges, self._seen)  # compiled before a row waits for it

    def count(self, x: Float32) -> None:
        """Take in rows [R, F]."""
        _count(x, self._edges, self._seen)

    def fade(self, seconds: float) -> None:
        """So much time has passed."""
        self._seen *= 0.5 ** (seconds / HALF_LIFE_SECONDS)

    def indices(self) -> dict[str, float]:
        """By feature; of those of which there are enough rows."""
        rows = self._seen.sum(axis=1)
        told = np.flatnonzero(self._known & (rows >= MIN_ROWS))
        p = np.maximum(self._expected[told], LEAST_SHARE)
        q = np.maximum(self._seen[told] / rows[told, None], LEAST_SHARE)
        used = np.arange(CLASSES) <= np.isfinite(self._edges[told]).sum(axis=1, keepdims=True)
        index = np.where(used, (q - p) * np.log(q / p), 0).sum(axis=1)
        return {self._names[feature]: value for feature, value in zip(told.tolist(), index.tolist(), strict=True)}


def _quantiles_of(info: ModelInfo) -> Mapping[str, Any]:
    data = info.provenance.get("data")
    quantiles = data.get("quantiles") if isinstance(data, dict) else None
    return quantiles if isinstance(quantiles, dict) else {}


def _are_quantiles(found: object) -> bool:
    return (
        isinstance(found, list)
        and len(found) == CLASSES + 1
        and all(isinstance(value, int | float) and np.isfinite(value) for value in found)
        and sorted(found) == found
    )


@compiled
def _count(x: Float32, edges: Float64, seen: Float64) -> None:
    for row in range(x.shape[0]):
        for feature in range(x.shape[1]):
            value = x[row, feature]
            if value == value:
                place = 0
                while place < edges.shape[1] and value > edges[feature, place]:
                    place += 1
                seen[feature, place] += 1.0
