"""The nodes' states in the embedded file."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np

from receiver.store.embedded import EmbeddedStore
from tests.store.data import T0, states_of


def test_states_come_back_as_they_were_saved(embedded: EmbeddedStore) -> None:
    embedded.save_states(states_of("v1", 1, 2))
    embedded.save_states(states_of("v1", 2, 3))
    loaded = embedded.load_states("v1")
    assert loaded is not None
    expected = states_of("v1", 1, 2, 3)
    for name in ("node", "time_ms", "state"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(expected, name))


def test_states_of_another_model_are_not_given(embedded: EmbeddedStore) -> None:
    assert embedded.load_states("v1") is None
    embedded.save_states(states_of("v1", 1, 2))
    embedded.save_states(states_of("v2", 2, width=6))
    first, second = embedded.load_states("v1"), embedded.load_states("v2")
    assert first is not None
    assert second is not None
    assert (first.node.tolist(), second.node.tolist(), second.state.shape) == ([1], [2], (1, 6))
    assert embedded.load_states("v3") is None


def test_states_of_long_ago_are_deleted_of_whatever_model(embedded: EmbeddedStore) -> None:
    embedded.save_states(states_of("v1", 1, 5))
    embedded.save_states(states_of("v2", 2, 6))
    embedded.forget_states(T0 + 5)
    first, second = embedded.load_states("v1"), embedded.load_states("v2")
    assert first is not None
    assert second is not None
    assert (first.node.tolist(), second.node.tolist()) == ([5], [6])


def test_a_damaged_state_costs_only_its_node(embedded: EmbeddedStore, path: Path) -> None:
    embedded.save_states(states_of("v1", 1, 2, 3))
    with sqlite3.connect(path) as other:
        other.execute("UPDATE states SET state = substr(state, 1, 5) WHERE node = 2")
    other.close()
    loaded = embedded.load_states("v1")
    assert loaded is not None
    assert loaded.node.tolist() == [1, 3]
