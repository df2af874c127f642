"""Which rows of a block the database cannot have yet, as far as this connection can know.

In: the keys of a block. Out: their order by (time, node), cut in two: rows that may be stored already, or stand in
the block twice, and have to be merged; and behind the last such row those that are all new and need no look at what
is stored. One cut, not two sets, so that a writer which merges the first and then adds the second takes its keys in
one order, and two writers of the same rows wait for each other instead of locking each other out.

It is a guess: another writer may have stored any of them. Costs 0.2 µs a row and 8 bytes a node.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from receiver.columns import Int32, Int64

_NEVER_MS = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class Split:
    """Places in a block, in the order of its keys; equal keys in the order in which they stood."""

    known: NDArray[np.intp]  # to be merged
    part: Int32  # of each known row, how many of its key stand before it
    new: NDArray[np.intp]  # to be added


class Newest:
    """Of each node of one table, the time of the newest row that was written."""

    def __init__(self) -> None:
        self._time_ms = np.empty(0, np.int64)  # by the database's node id

    def split(self, node: Int32, time_ms: Int64) -> Split:
        """Cut a block behind the last row that is no news of its node."""
        self._make_room(node)
        order, repetition = in_key_order(node, time_ms)
        is_known = (time_ms[order] <= self._time_ms[node[order]]) | (repetition > 0)
        cut = int(np.flatnonzero(is_known)[-1]) + 1 if is_known.any() else 0
        return Split(order[:cut], repetition[:cut], order[cut:])

    def written(self, node: Int32, time_ms: Int64) -> None:
        """These rows are stored now."""
        self._make_room(node)
        np.maximum.at(self._time_ms, node, time_ms)

    def _make_room(self, node: Int32) -> None:
        missing = int(node.max(initial=-1)) + 1 - len(self._time_ms)
        if missing > 0:
            self._time_ms = np.append(self._time_ms, np.full(missing, _NEVER_MS))


def in_key_order(node: Int32, time_ms: Int64) -> tuple[NDArray[np.intp], Int32]:
    """The places of a block by (time, node), and of each of them how many rows of its key stand before it."""
    order = np.lexsort((node, time_ms))  # stable: among equals, in their order
    node, time_ms = node[order], time_ms[order]
    starts = np.append(True, (node[1:] != node[:-1]) | (time_ms[1:] != time_ms[:-1]))[: len(node)]
    positions = np.arange(len(node), dtype=np.int32)
    return order, positions - np.maximum.accumulate(np.where(starts, positions, np.int32(0)))
