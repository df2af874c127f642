"""Which node has which slot."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from receiver.slots import NONE, Slots

SOME_NODES = st.lists(st.integers(0, 30), max_size=8)


@given(st.lists(st.tuples(SOME_NODES, SOME_NODES), max_size=20))
def test_a_slot_is_one_nodes_until_it_is_given_back(steps: list[tuple[list[int], list[int]]]) -> None:
    slots, known, most = Slots(), dict[int, int](), 0
    for coming, leaving in steps:
        taken = slots.take(np.array(coming, np.int32)).tolist()
        assert all(known.get(node, slot) == slot for node, slot in zip(coming, taken, strict=True))
        known |= dict(zip(coming, taken, strict=True))
        assert len(set(known.values())) == len(known)
        most = max(most, len(known))
        gone = {node: known.pop(node) for node in leaving if node in known}
        assert set(slots.give_back(np.array(leaving, np.int32)).tolist()) == set(gone.values())
        assert slots.nodes.tolist() == sorted(known)
        everybody = np.arange(40, dtype=np.int32)
        assert slots.of(everybody).tolist() == [known.get(node, NONE) for node in range(40)]
    assert len(slots) <= 2 * most
