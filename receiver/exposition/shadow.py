"""What is shown of a candidate that scores beside the active model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from receiver.columns import Float32, Int64, Scores


@dataclass(frozen=True, slots=True)
class ShadowScores:
    """The candidate's last score of every node; position = node id. Nothing of it ever changes."""

    version: str
    detector: str
    time_ms: Int64  # [N] of the last row; 0 where there was none
    score: Float32  # [N]

    @classmethod
    def empty(cls, version: str, detector: str) -> Self:
        """No scores yet."""
        return cls(version, detector, np.empty(0, np.int64), np.empty(0, np.float32))

    def after(self, scores: Scores) -> ShadowScores:
        """With these scores, each node's in the order of time, which are later than what is here."""
        if not len(scores):
            return self
        more = max(0, int(scores.node.max()) + 1 - len(self.time_ms))
        time_ms, score = np.pad(self.time_ms, (0, more)), np.pad(self.score, (0, more))
        time_ms[scores.node], score[scores.node] = scores.time_ms, scores.score
        return replace(self, time_ms=time_ms, score=score)
