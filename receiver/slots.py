"""Slots in arrays, for nodes that come and go.

In: node ids, none of which is used again when its node is forgotten. Out: the slot of each, an index. One that is given
back goes to the next node, so that there come to be no more than twice as many as there were nodes at once. Raises
nothing. Costs 4 bytes a slot, and 4 a node id.
"""

from __future__ import annotations

import numpy as np

from receiver.columns import Int32

NONE = -1  # the slot of a node that has none, and the node of a free slot


class Slots:
    """Which node has which slot."""

    def __init__(self) -> None:
        self.node: Int32 = np.empty(0, np.int32)  # [slots]
        self._slot: Int32 = np.empty(0, np.int32)  # by node id

    def __len__(self) -> int:
        """How many slots there are, the free ones among them."""
        return len(self.node)

    @property
    def nodes(self) -> Int32:
        """The ids of all nodes that have a slot, ascending."""
        return np.sort(self.node[self.node != NONE])

    def of(self, node: Int32) -> Int32:
        """The slots of these nodes, or `NONE`."""
        slot = np.full(len(node), NONE, np.int32)
        known = node < len(self._slot)
        slot[known] = self._slot[node[known]]
        return slot

    def take(self, node: Int32) -> Int32:
        """The slots of these nodes; one that has none gets one."""
        ids = int(node.max(initial=NONE)) + 1
        if ids > len(self._slot):
            self._slot = _grown(self._slot, ids)
        slot: Int32 = self._slot[node]
        if (slot == NONE).any():
            new = np.unique(node[slot == NONE])
            used = int(np.count_nonzero(self.node != NONE))
            if used + len(new) > len(self.node):
                self.node = _grown(self.node, used + len(new))
            free = np.flatnonzero(self.node == NONE)[: len(new)]
            self.node[free], self._slot[new] = new, free
            slot = self._slot[node]
        return slot

    def give_back(self, node: Int32) -> Int32:
        """Free the slots of these nodes; which those were."""
        slot = self.of(node)
        freed: Int32 = slot[slot != NONE]
        self._slot[self.node[freed]] = NONE
        self.node[freed] = NONE
        return freed


def _grown(array: Int32, length: int) -> Int32:
    """To twice its length at least, so that growing costs little in the long run."""
    return np.concatenate((array, np.full(max(length, 2 * len(array)) - len(array), NONE, np.int32)))
