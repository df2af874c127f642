"""The canonical form of data between the stages: a few aligned numpy arrays, one entry a sample or row.

No per-sample Python object exists on the hot path. All classes are frozen; arrays are shared, not copied, and
no stage writes into arrays that it was given. Missing values are NaN. Times are Unix milliseconds, UTC.

Symbols in shapes: M samples, R rows, F features of the catalogue, N nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]
Bytes = NDArray[np.uint8]

# Prometheus marks a series that has ended with this NaN (model/value.StaleNaN). Compare bits: every other NaN
# is a value.
STALE_NAN_BITS = np.uint64(0x7FF0000000000002)


class NodeName(NamedTuple):
    """The entity that is scored. Equal node names in two clusters are two nodes."""

    cluster: str
    node: str


@dataclass(frozen=True, slots=True)
class Samples:
    """M samples of kept series."""

    series: Int32  # [M] ids of `receiver.series`
    time_ms: Int64  # [M]
    value: Float64  # [M] staleness markers included, bit for bit

    def __len__(self) -> int:
        return len(self.series)

    @classmethod
    def empty(cls) -> Self:
        """No samples."""
        return cls(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float64))


@dataclass(frozen=True, slots=True)
class Rows:
    """R rows: what a node's features were at a time."""

    node: Int32  # [R] ids of `receiver.series`
    time_ms: Int64  # [R]
    raw: Float64  # [R, F] totals as scraped: the paper's Table 2
    x: Float32  # [R, F] what the detector sees: rates, shares, values

    def __len__(self) -> int:
        return len(self.node)

    @classmethod
    def empty(cls, features: int) -> Self:
        """No rows of `features` columns."""
        return cls(
            np.empty(0, np.int32),
            np.empty(0, np.int64),
            np.empty((0, features), np.float64),
            np.empty((0, features), np.float32),
        )

    def where(self, chosen: Bool) -> Rows:
        """Some of the rows."""
        return Rows(self.node[chosen], self.time_ms[chosen], self.raw[chosen], self.x[chosen])

    @classmethod
    def joined(cls, blocks: Sequence[Self], features: int) -> Self:
        """Blocks of rows of `features` columns, one after the other."""
        blocks = [cls.empty(features), *blocks]
        return cls(
            np.concatenate([block.node for block in blocks]),
            np.concatenate([block.time_ms for block in blocks]),
            np.concatenate([block.raw for block in blocks]),
            np.concatenate([block.x for block in blocks]),
        )


@dataclass(frozen=True, slots=True)
class Scores:
    """R scored rows."""

    node: Int32  # [R]
    time_ms: Int64  # [R]
    score: Float32  # [R] 1.0 is the alarm threshold
    x: Float32  # [R, F] the very vector that was scored
    contribution: Float32  # [R, F] share of the score per feature; NaN where none was computed

    def __len__(self) -> int:
        return len(self.node)

    @classmethod
    def empty(cls, features: int) -> Self:
        """No scores over `features` columns."""
        return cls(
            np.empty(0, np.int32),
            np.empty(0, np.int64),
            np.empty(0, np.float32),
            np.empty((0, features), np.float32),
            np.empty((0, features), np.float32),
        )

    def where(self, chosen: Bool) -> Scores:
        """Some of the scores."""
        return Scores(
            self.node[chosen], self.time_ms[chosen], self.score[chosen], self.x[chosen], self.contribution[chosen]
        )

    def rows(self) -> Rows:
        """The rows as the detector saw them; their raw values are missing."""
        return Rows(self.node, self.time_ms, np.broadcast_to(np.array(np.nan), self.x.shape), self.x)

    @classmethod
    def joined(cls, blocks: Sequence[Self], features: int) -> Self:
        """Blocks of scores over `features` columns, one after the other."""
        blocks = [cls.empty(features), *blocks]
        return cls(
            np.concatenate([block.node for block in blocks]),
            np.concatenate([block.time_ms for block in blocks]),
            np.concatenate([block.score for block in blocks]),
            np.concatenate([block.x for block in blocks]),
            np.concatenate([block.contribution for block in blocks]),
        )
