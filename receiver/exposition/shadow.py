"""What is shown of a candidate that scores beside the active model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from receiver.columns import Float32, Int32, Int64, Scores


@dataclass(frozen=True, slots=True)
class ShadowScores:
    """The candidate's last score of each of N nodes. Nothing of it ever changes."""

    version: str
    detector: str
    node: Int32  # [N] ids, ascending
    time_ms: Int64  # [N] of the last row
    score: Float32  # [N]

    @classmethod
    def empty(cls, version: str, detector: str) -> Self:
        """No scores yet."""
        return cls(version, detector, np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float32))

    def after(self, scores: Scores) -> ShadowScores:
        """With these scores, each node's in the order of time, which are later than what is here."""
        if not len(scores):
            return self
        newest_first = np.concatenate((self.node, scores.node))[::-1]
        node, place = np.unique(newest_first, return_index=True)
        place = len(newest_first) - 1 - place
        time_ms = np.concatenate((self.time_ms, scores.time_ms))[place]
        return replace(self, node=node, time_ms=time_ms, score=np.concatenate((self.score, scores.score))[place])

    def since(self, time_ms: int) -> ShadowScores:
        """Without those whose last row is older."""
        kept = self.time_ms >= time_ms
        return replace(self, node=self.node[kept], time_ms=self.time_ms[kept], score=self.score[kept])
