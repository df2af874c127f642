"""What is shown of every node: its last row's time, score and contributions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from receiver.columns import Float32, Int32, Int64, NodeName
from receiver.compiled import compiled

# A score is float32, which carries 7 digits; the noise behind them would only cost bytes.
EXPOSED_DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known of every node after a flush; position = node id. N nodes, F features."""

    names: tuple[NodeName, ...]
    time_ms: Int64  # [N] of the last row; 0 where there was none
    score: Float32  # [N] of that row, 1.0 is the alarm threshold; NaN where there is none
    contribution: Float32  # [N, F] what each feature adds to the score; NaN where none was computed
    over_since_ms: Int64  # [N] of the oldest of the last rows, which are all over the threshold; 0: the last is not
    feature_names: tuple[str, ...]
    model_version: str
    model_detector: str
    # That of the model before, where another one has taken over since the start.
    version_before: str = ""
    detector_before: str = ""

    @classmethod
    def empty(cls, feature_names: Sequence[str] = (), model_version: str = "", model_detector: str = "") -> Self:
        """No nodes yet."""
        return cls(
            names=(),
            time_ms=np.empty(0, np.int64),
            score=np.empty(0, np.float32),
            contribution=np.empty((0, len(feature_names)), np.float32),
            over_since_ms=np.empty(0, np.int64),
            feature_names=tuple(feature_names),
            model_version=model_version,
            model_detector=model_detector,
        )

    def with_room(self, nodes: int) -> Snapshot:
        """Copies that have room for so many nodes, of which the last ones have no score."""
        more = nodes - len(self.time_ms)
        return replace(
            self,
            time_ms=np.pad(self.time_ms, (0, more)),
            score=np.pad(self.score, (0, more), constant_values=np.nan),
            contribution=np.pad(self.contribution, ((0, more), (0, 0)), constant_values=np.nan),
            over_since_ms=np.pad(self.over_since_ms, (0, more)),
        )

    def fresh(self, now_ms: int, staleness_seconds: float) -> Int64:
        """Ids of the nodes with a score whose last row is not older than the limit."""
        alive = (self.time_ms >= now_ms - staleness_seconds * 1000) & np.isfinite(self.score)
        return np.flatnonzero(alive).astype(np.int64)

    def top_features(self, nodes: Int64, most: int) -> list[list[tuple[str, float]]]:
        """Of each of these nodes the features with the largest positive contributions, largest first."""
        contribution = np.where(np.isnan(self.contribution[nodes]), -np.inf, self.contribution[nodes])
        order = np.argsort(-contribution, axis=1, kind="stable")[:, :most]
        values = np.round(np.take_along_axis(contribution, order, axis=1).astype(np.float64), EXPOSED_DECIMALS)
        return [
            [(self.feature_names[feature], value) for feature, value in zip(features, shares, strict=True) if value > 0]
            for features, shares in zip(order.tolist(), values.tolist(), strict=True)
        ]


@compiled
def show(
    order: Int64,
    node: Int32,
    time_ms: Int64,
    score: Float32,
    contribution: Float32,
    shown_ms: Int64,
    shown_score: Float32,
    shown_contribution: Float32,
    over_since_ms: Int64,
) -> None:
    """Put rows, by this order, in time, into a snapshot's arrays; one that is older than its node's is left out."""
    for row in order:
        at = node[row]
        if time_ms[row] < shown_ms[at]:
            continue
        if not score[row] > 1:
            over_since_ms[at] = 0
        elif over_since_ms[at] == 0:
            over_since_ms[at] = time_ms[row]
        shown_ms[at] = time_ms[row]
        shown_score[at] = score[row]
        for feature in range(contribution.shape[1]):
            shown_contribution[at, feature] = contribution[row, feature]
