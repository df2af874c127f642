"""What a model remembers of every node, and the scoring of a flush.

In: `Rows`, any number of them for a node, in any order. Out: `Scores` in the rows' order. A node's rows are
stepped in time order; one that is not newer than the node's last scored row is left out: it can be stored, but
the state is past it. Costs one step of the model for each *wave*: the first row of every node, then the second of
those that have two, and so on; and memory of S floats and 20 bytes a slot of `receiver.slots`. A node has one from its
first scored row on, until it is forgotten.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from receiver.columns import Float32, Int32, Int64, Rows, Scores
from receiver.detector.model import Detector
from receiver.detector.waves import NEVER, NO_ROW, next_wave
from receiver.errors import ModelError
from receiver.slots import NONE, Slots

log = logging.getLogger(__name__)

# A node that has been silent for so long, while others were not, begins anew. Longer than a weekend in maintenance, and
# twice as long as the longest mean of the models that ship. Of 10,000 new pods a day, which never come back, it leaves
# some 30,000.
STATE_KEPT_MS = 3 * 86_400_000


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
        self.failed_rows = 0  # on which the model raised, or gave what is no number
        self._slots = Slots()
        self._last_ms = np.empty(0, np.int64)  # [slots]; NEVER where the slot is free
        self._oldest = np.empty(0, np.int64)  # [slots] room for `next_wave`
        self._state = np.empty((0, detector.info.state_size), np.float32)  # [slots, S]
        self._compile()

    def score(self, rows: Rows) -> Scores:
        """Score what is newer than its node's last row, and move the states on."""
        if not len(rows):
            return Scores.empty(rows.x.shape[1])
        slot = self._slots_for(rows.node)
        scored: list[_Scored] = []
        row, elapsed = np.empty(len(rows), np.int64), np.empty(len(rows), np.float32)
        while wave := next_wave(slot, rows.time_ms, self._last_ms, self._oldest, row, elapsed):
            if wave == len(rows):  # all at once, mostly
                scored.append(self._step(row, slot, rows.x, elapsed))
                break
            some = row[:wave].copy()
            scored.append(self._step(some, slot[some], rows.x[some], elapsed[:wave]))
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

    def forget(self, node: int) -> None:
        """Have a node begin anew."""
        self._free(np.array([node], np.int32))

    def forget_silent(self, wall_ms: int) -> int:
        """Have all begin anew whose last row is `STATE_KEPT_MS` older than the newest of all; the time before it was.

        So nobody is forgotten while no rows come at all, or for a clock that was set; nor for a row from the future.
        """
        before_ms = min(int(self._last_ms.max(initial=0)), wall_ms) - STATE_KEPT_MS
        self._free(self._slots.node[(self._last_ms != NEVER) & (self._last_ms < before_ms)])
        return before_ms

    def last_ms(self, node: Int32) -> Int64:
        """When the last scored row of each of these nodes was; 0 where there was none."""
        slot = self._slots.of(node)
        last_ms = np.zeros(len(node), np.int64)
        last_ms[slot != NONE] = self._last_ms[slot[slot != NONE]]
        return last_ms

    def snapshot(self, node: Int32 | None = None) -> Snapshot:
        """The states of those of these nodes that have been scored; of all where None."""
        node = self._slots.nodes if node is None else self._known(node)
        slot = self._slots.of(node)
        return Snapshot(self.detector.info.version, node, self._last_ms[slot], self._state[slot])

    def restore(self, snapshot: Snapshot) -> None:
        """Take the states of a snapshot. Raises `ModelError` where it is another model's."""
        version, size = self.detector.info.version, self.detector.info.state_size
        if snapshot.model_version != version or snapshot.state.shape != (len(snapshot.node), size):
            raise ModelError(
                f"states of model {snapshot.model_version}, {snapshot.state.shape[-1]} floats a node, "
                f"do not fit model {version}, {size} floats"
            )
        if len(snapshot.node):
            slot = self._slots_for(snapshot.node)
            self._last_ms[slot] = snapshot.time_ms
            self._state[slot] = snapshot.state

    def _compile(self) -> None:
        """Call the pass once, over nothing, so that no row waits until it is compiled."""
        nothing = np.empty(0, np.int64)
        next_wave(nothing.astype(np.int32), nothing, nothing, nothing, nothing, nothing.astype(np.float32))

    def _step(self, row: Int64, slot: Int32, x: Float32, elapsed_seconds: Float32) -> _Scored:
        """Score one row of each node that has these slots; those that got a score."""
        try:
            result = self.detector.step(x, elapsed_seconds, self._state[slot])
        except Exception:  # onnxruntime's have no common base
            log.exception("the model fails on a batch of %d rows, which stay without a score", len(row))
            self._state[slot] = self.detector.initial_state
            self.failed_rows += len(row)
            return _Scored(row[:0], np.empty(0, np.float32), x[:0])
        finite = np.isfinite(result.next_state)
        if finite.all() and np.isfinite(result.score).all():
            self._state[slot] = result.next_state
            return _Scored(row, result.score, result.contribution)
        # The contract promises finite numbers, but a model can break it in a way that no trial shows. Then its
        # node starts anew instead of staying broken for ever.
        sound = np.isfinite(result.score) & finite.all(axis=1)
        self.failed_rows += int(np.count_nonzero(~sound))
        self._state[slot] = np.where(sound[:, None], result.next_state, self.detector.initial_state)
        return _Scored(row[sound], result.score[sound], result.contribution[sound])

    def _known(self, node: Int32) -> Int32:
        """Those of these nodes that have a slot."""
        known: Int32 = node[self._slots.of(node) != NONE]
        return known

    def _free(self, node: Int32) -> None:
        """Take these nodes' slots."""
        slot = self._slots.give_back(node)
        self._last_ms[slot] = NEVER
        self._state[slot] = self.detector.initial_state

    def _slots_for(self, node: Int32) -> Int32:
        """The slots of these nodes, which are scored now; a node that has none gets one."""
        slot = self._slots.take(node)
        more = len(self._slots) - len(self._last_ms)
        if more:
            self._last_ms = np.concatenate([self._last_ms, np.full(more, NEVER, np.int64)])
            self._oldest = np.concatenate([self._oldest, np.full(more, NO_ROW, np.int64)])
            self._state = np.concatenate([self._state, np.tile(self.detector.initial_state, (more, 1))])
        return slot


@dataclass(frozen=True, slots=True)
class _Scored:
    """What one step has given for W rows."""

    row: Int64  # [W] their indices
    score: Float32  # [W]
    contribution: Float32  # [W, F]
