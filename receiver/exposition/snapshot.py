"""What is shown of every node: its last row's time, score and contributions, and whether its alert is raised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from receiver.alerts import CLEAR_ROWS, OF_ROWS, OVER_ROWS
from receiver.columns import Float32, Int32, Int64, NodeName
from receiver.compiled import compiled

# A score is float32, which carries 7 digits; the noise behind them would only cost bytes.
EXPOSED_DECIMALS = 6
# Of the bits that say which of a node's last rows were over the threshold, those that each part of the definition of
# an alert looks at.
_RAISING = (1 << OF_ROWS) - 1
_CLEARING = (1 << CLEAR_ROWS) - 1


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known of every node after a flush. N nodes, F features."""

    node: Int32  # [N] ids, ascending
    names: tuple[NodeName, ...]  # of these
    time_ms: Int64  # [N] of the last row; 0 where there was none
    score: Float32  # [N] of that row, 1.0 is the alarm threshold; NaN where there is none
    contribution: Float32  # [N, F] what each feature adds to the score; NaN where none was computed
    over_since_ms: Int64  # [N] of the oldest of the last rows, which are all over the threshold; 0: the last is not
    last_over: Int64  # [N] a bit for each of the last rows, the newest the lowest: 1 where it was over the threshold
    raised_ms: Int64  # [N] of the row at which the open alert was raised; 0: none is open, as far as this process knows
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
            node=np.empty(0, np.int32),
            names=(),
            time_ms=np.empty(0, np.int64),
            score=np.empty(0, np.float32),
            contribution=np.empty((0, len(feature_names)), np.float32),
            over_since_ms=np.empty(0, np.int64),
            last_over=np.empty(0, np.int64),
            raised_ms=np.empty(0, np.int64),
            feature_names=tuple(feature_names),
            model_version=model_version,
            model_detector=model_detector,
        )

    def with_room(self, nodes: int) -> Snapshot:
        """Copies of all but ids and names that have room for so many nodes, of which the last ones have no score."""
        more = nodes - len(self.time_ms)
        return replace(
            self,
            time_ms=np.pad(self.time_ms, (0, more)),
            score=np.pad(self.score, (0, more), constant_values=np.nan),
            contribution=np.pad(self.contribution, ((0, more), (0, 0)), constant_values=np.nan),
            over_since_ms=np.pad(self.over_since_ms, (0, more)),
            last_over=np.pad(self.last_over, (0, more)),
            raised_ms=np.pad(self.raised_ms, (0, more)),
        )

    def fresh(self, now_ms: int, staleness_seconds: float) -> Int64:
        """Where the nodes with a score stand whose last row is not older than the limit."""
        return fresh(self.time_ms, self.score, now_ms, staleness_seconds)

    def top_features(self, nodes: Int64, most: int) -> list[list[tuple[str, float]]]:
        """Of each of these nodes the features with the largest positive contributions, largest first."""
        contribution = np.where(np.isfinite(self.contribution[nodes]), self.contribution[nodes], -np.inf)
        order = np.argsort(-contribution, axis=1, kind="stable")[:, :most]
        values = np.round(np.take_along_axis(contribution, order, axis=1).astype(np.float64), EXPOSED_DECIMALS)
        return [
            [(self.feature_names[feature], value) for feature, value in zip(features, shares, strict=True) if value > 0]
            for features, shares in zip(order.tolist(), values.tolist(), strict=True)
        ]


def fresh(time_ms: Int64, score: Float32, now_ms: int, staleness_seconds: float) -> Int64:
    """Where there is a score that is not older than the limit."""
    alive = (time_ms >= now_ms - staleness_seconds * 1000) & np.isfinite(score)
    return np.flatnonzero(alive).astype(np.int64)


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
    last_over: Int64,
    raised_ms: Int64,
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
        # The newest row, scored again, says what it says now.
        before = last_over[at] >> 1 if time_ms[row] == shown_ms[at] else last_over[at]
        last_over[at] = ((before << 1) | (score[row] > 1)) & (_RAISING | _CLEARING)
        over_rows = 0
        for place in range(OF_ROWS):
            over_rows += (last_over[at] >> place) & 1
        if not last_over[at] & _CLEARING:
            raised_ms[at] = 0
        elif over_rows >= OVER_ROWS and raised_ms[at] == 0:
            raised_ms[at] = time_ms[row]
        shown_ms[at] = time_ms[row]
        shown_score[at] = score[row]
        for feature in range(contribution.shape[1]):
            shown_contribution[at, feature] = contribution[row, feature]
