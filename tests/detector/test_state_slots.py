"""The slots of the nodes' states: whose they are, and how many there come to be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.graph import describe
from receiver.detector import Detector, NodeStates
from receiver.detector.states import STATE_KEPT_MS
from tests.detector.sum_model import FEATURES, METADATA, rows, sum_graph

KEPT_SECONDS = STATE_KEPT_MS // 1000
HOUR = 3600
FUTURE_MS = 2**62


@pytest.fixture(scope="module")
def detector() -> Detector:
    """Its state: seconds since the node's first row, and how many rows there were."""
    model = sum_graph()
    describe(model, METADATA)
    return Detector.parse(model.SerializeToString(), Path("m.onnx"), FEATURES)


SOME_ROWS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, KEPT_SECONDS)), min_size=1, max_size=12)


@given(st.lists(st.one_of(SOME_ROWS, st.integers(0, 9), st.just("silent"), st.just("saved")), max_size=20))
def test_a_node_never_has_anothers_state(detector: Detector, steps: list[list[tuple[int, int]] | int | str]) -> None:
    states, now = NodeStates(detector), 10 * KEPT_SECONDS
    known: dict[int, tuple[int, int, int]] = {}  # last row's time, seconds seen, rows seen
    for step in steps:
        if isinstance(step, list):
            for node, since in sorted(step, key=lambda row: row[1]):
                last, seconds, count = known.get(node, (now + since, 0, 0))
                if not count or now + since > last:
                    known[node] = now + since, seconds + now + since - last, count + 1
            states.score(rows(*((node, now + since, 1.0) for node, since in step)))
            now += KEPT_SECONDS // 2
        elif isinstance(step, int):
            states.forget(step)
            known.pop(step, None)
        elif step == "silent":
            states.forget_silent(FUTURE_MS)
            newest = max((last for last, _, _ in known.values()), default=0)
            known = {node: told for node, told in known.items() if told[0] >= newest - KEPT_SECONDS}
        else:
            saved, states = states.snapshot(), NodeStates(detector)
            states.restore(saved)
        found = states.snapshot()
        entries = zip(found.node.tolist(), (found.time_ms // 1000).tolist(), found.state.tolist(), strict=True)
        assert {node: (last, *state) for node, last, state in entries} == known
        asked = np.arange(12, dtype=np.int32)
        assert states.last_ms(asked).tolist() == [1000 * known.get(node, (0,))[0] for node in range(12)]


def test_there_are_no_more_slots_than_nodes_that_are_known_at_once(detector: Detector) -> None:
    states = NodeStates(detector)
    for hour in range(30 * 24):
        born = np.arange(100 * hour, 100 * hour + 100).tolist()
        states.score(rows(*((node, HOUR * hour, 1.0) for node in born)))
        states.forget_silent(FUTURE_MS)
    at_once = 100 * (KEPT_SECONDS // HOUR + 1)
    assert len(states.snapshot().node) == at_once
    assert len(states._state) <= 2 * at_once


def test_nobody_is_forgotten_while_no_rows_come_or_for_one_from_the_future(detector: Detector) -> None:
    states = NodeStates(detector)
    states.score(rows((0, 10, 1.0), (1, 20, 1.0)))
    states.forget_silent(FUTURE_MS)
    states.score(rows((2, KEPT_SECONDS + 100, 1.0)))
    states.forget_silent(30_000)
    assert states.snapshot().node.tolist() == [0, 1, 2]


def test_a_node_that_comes_back_is_like_one_that_was_never_seen(detector: Detector) -> None:
    states = NodeStates(detector)
    states.score(rows((0, 10, 1.0), (1, 10, 1.0)))
    states.score(rows((1, KEPT_SECONDS + 11, 1.0)))
    states.forget_silent(FUTURE_MS)
    states.score(rows((0, KEPT_SECONDS + 12, 1.0)))
    assert states.snapshot().state.tolist() == [[0, 1], [KEPT_SECONDS + 1, 2]]
