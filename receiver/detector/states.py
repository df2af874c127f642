"""What a model remembers of every node, and the scoring of a flush.

In: `Rows`, any number of them for a node, in any order. Out: `Scores` in the rows' order. A node's rows are
stepped in time order; one that is not newer than the node's last scored row is left out: it can be stored, but
the state is past it. Costs S floats and 8 bytes a node (dense by node id), and one step of the model for each
*wave*: the first row of every node, then the second of those that have two, and so on. No loop over rows.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from receiver.columns import Float32, Int32, Int64, Rows, Scores
from receiver.detector.model import Detector
from receiver.errors import ModelError

log = logging.getLogger(__name__)

_NEVER = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The states of N nodes after their rows at `time_ms`; copies."""

    model_version: str
    node: Int32  # [N]
    time_ms: Int64  # [N]
    state: Float32  # [N, S]


class NodeStates:
    """The states of all nodes under one model."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self._last_ms = np.empty(0, np.int64)
        self._state = np.empty((0, detector.info.state_size), np.float32)

    def score(self, rows: Rows) -> Scores:
        """Score what is newer than its node's last row, and move the states on."""
        if not len(rows):
            return Scores.empty(rows.x.shape[1])
        self._grow(int(rows.node.max()) + 1)
        newer = np.flatnonzero(rows.time_ms > self._last_ms[rows.node])
        scored: list[_Scored] = []
        for wave in _waves(rows.node[newer], rows.time_ms[newer]):
            row = newer[wave]
            scored.append(self._step(row, rows.node[row], rows.time_ms[row], rows.x[row]))
        if len(scored) == 1 and len(scored[0].row) == len(rows):
            return Scores(rows.node, rows.time_ms, scored[0].score, rows.x, scored[0].contribution)
        row = np.concatenate([np.empty(0, np.int64), *(part.row for part in scored)])
        order = np.argsort(row)
        row = row[order]
        return Scores(
            node=rows.node[row],
            time_ms=rows.time_ms[row],
            score=np.concatenate([np.empty(0, np.float32), *(part.score for part in scored)])[order],
            x=rows.x[row],
            contribution=np.concatenate([rows.x[:0], *(part.contribution for part in scored)])[order],
        )

    def last_ms(self, node: Int32) -> Int64:
        """When the last scored row of each of these nodes was; 0 where there was none."""
        known = node < len(self._last_ms)
        last_ms = np.zeros(len(node), np.int64)
        last_ms[known] = np.maximum(self._last_ms[node[known]], 0)
        return last_ms

    def snapshot(self, node: Int32 | None = None) -> Snapshot:
        """The states of those of these nodes that have been scored; of all where None."""
        if node is None:
            node = np.arange(len(self._last_ms), dtype=np.int32)
        node = node[node < len(self._last_ms)]
        node = node[self._last_ms[node] != _NEVER]
        return Snapshot(self.detector.info.version, node, self._last_ms[node], self._state[node])

    def restore(self, snapshot: Snapshot) -> None:
        """Take the states of a snapshot. Raises `ModelError` where it is another model's."""
        version, size = self.detector.info.version, self.detector.info.state_size
        if snapshot.model_version != version or snapshot.state.shape != (len(snapshot.node), size):
            raise ModelError(
                f"states of model {snapshot.model_version}, {snapshot.state.shape[-1]} floats a node, "
                f"do not fit model {version}, {size} floats"
            )
        if len(snapshot.node):
            self._grow(int(snapshot.node.max()) + 1)
            self._last_ms[snapshot.node] = snapshot.time_ms
            self._state[snapshot.node] = snapshot.state

    def _step(self, row: Int64, node: Int32, time_ms: Int64, x: Float32) -> _Scored:
        """Score one row of each of these nodes, all newer than their last; those that got a score."""
        last_ms = self._last_ms[node]
        elapsed_ms = time_ms - np.where(last_ms == _NEVER, time_ms, last_ms)
        self._last_ms[node] = time_ms
        try:
            result = self.detector.step(x, (elapsed_ms / 1000).astype(np.float32), self._state[node])
        except Exception:  # onnxruntime's have no common base
            log.exception("the model fails on a batch of %d rows, which stay without a score", len(row))
            self._state[node] = self.detector.initial_state
            return _Scored(row[:0], np.empty(0, np.float32), x[:0])
        finite = np.isfinite(result.next_state)
        if finite.all() and np.isfinite(result.score).all():
            self._state[node] = result.next_state
            return _Scored(row, result.score, result.contribution)
        # The contract promises finite numbers, but a model can break it in a way that no trial shows. Then its
        # node starts anew instead of staying broken for ever.
        sound = np.isfinite(result.score) & finite.all(axis=1)
        self._state[node] = np.where(sound[:, None], result.next_state, self.detector.initial_state)
        return _Scored(row[sound], result.score[sound], result.contribution[sound])

    def _grow(self, nodes: int) -> None:
        have = len(self._last_ms)
        if nodes > have:
            more = max(nodes, 2 * have) - have
            self._last_ms = np.concatenate([self._last_ms, np.full(more, _NEVER, np.int64)])
            self._state = np.concatenate([self._state, np.tile(self.detector.initial_state, (more, 1))])


@dataclass(frozen=True, slots=True)
class _Scored:
    """What one step has given for W rows."""

    row: Int64  # [W] their indices
    score: Float32  # [W]
    contribution: Float32  # [W, F]


def _waves(node: Int32, time_ms: Int64) -> Iterator[Int64]:
    """Indices of rows, cut so that no wave has a node twice and later rows of a node come in later waves.

    Of two rows of one node and time only the first is in any.
    """
    if not len(node):
        return
    ascending = np.sort(node)
    if (ascending[1:] != ascending[:-1]).all():
        yield np.arange(len(node))
        return
    order = np.lexsort((time_ms, node))
    again = (np.diff(node[order]) == 0) & (np.diff(time_ms[order]) == 0)
    order = order[np.concatenate([[True], ~again])]
    node = node[order]
    place = np.arange(len(node))
    starts = np.concatenate([[True], node[1:] != node[:-1]])
    rank = place - np.maximum.accumulate(np.where(starts, place, 0))
    by_rank = np.argsort(rank, kind="stable")
    yield from np.split(order[by_rank], np.cumsum(np.bincount(rank))[:-1])
