"""What is remembered of nodes from row to row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.graph import Graph, describe
from receiver.columns import Rows, Scores
from receiver.detector import Detector, NodeStates
from receiver.errors import ModelError
from tests.detector.sum_model import FEATURES, METADATA, rows, sum_graph, write


def by_row(scores: Scores) -> dict[tuple[int, int], float]:
    keys = zip(scores.node.tolist(), scores.time_ms.tolist(), strict=True)
    return dict(zip(keys, scores.score.tolist(), strict=True))


def test_a_first_row_has_no_time_behind_it(detector: Detector) -> None:
    states = NodeStates(detector)
    states.score(rows((7, 1000, 1)))
    assert states.snapshot().state.tolist() == [[0, 1]]


def test_time_is_counted_from_the_nodes_previous_row(detector: Detector) -> None:
    states = NodeStates(detector)
    states.score(rows((0, 10, 1), (1, 15, 1)))
    states.score(rows((0, 12.5, 1), (1, 16, 1)))
    assert states.snapshot().state.tolist() == [[2.5, 2], [1, 2]]


def test_scores_come_in_the_order_of_the_rows(detector: Detector) -> None:
    scores = NodeStates(detector).score(rows((2, 10, 2), (0, 10, 0.5), (1, 10, 1)))
    assert scores.node.tolist() == [2, 0, 1]
    assert scores.score.tolist() == [6, 1.5, 3]


def test_a_row_that_is_not_newer_is_left_out(detector: Detector) -> None:
    states = NodeStates(detector)
    states.score(rows((0, 10, 1)))
    scores = states.score(rows((0, 10, 1), (0, 9, 1), (1, 9, 1)))
    assert scores.node.tolist() == [1]
    assert states.snapshot().state.tolist() == [[0, 1], [0, 1]]


def test_the_same_time_twice_in_one_flush_is_scored_once(detector: Detector) -> None:
    assert len(NodeStates(detector).score(rows((0, 10, 1), (0, 10, 2)))) == 1


def test_no_rows_are_no_scores(detector: Detector) -> None:
    assert len(NodeStates(detector).score(Rows.empty(len(FEATURES)))) == 0


@given(data=st.data(), times=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30)), unique=True, max_size=40))
def test_any_cut_into_flushes_in_time_gives_the_same(data: st.DataObject, times: list[tuple[int, int]]) -> None:
    model = sum_graph()
    describe(model, METADATA)
    detector = Detector.parse(model.SerializeToString(), Path("m.onnx"))
    entries = sorted(((node, float(time), node + time / 100) for node, time in times), key=lambda entry: entry[1])
    whole, cut = NodeStates(detector), NodeStates(detector)
    together = whole.score(rows(*data.draw(st.permutations(entries)))) if entries else None
    found: dict[tuple[int, int], float] = {}
    start = 0
    while start < len(entries):
        end = data.draw(st.integers(start + 1, len(entries)))
        some = cut.score(rows(*entries[start:end]))
        found |= by_row(some)
        start = end
    assert found == ({} if together is None else by_row(together))
    assert np.array_equal(whole.snapshot().state, cut.snapshot().state)


def test_restored_states_go_on_where_they_were(detector: Detector) -> None:
    one, other = NodeStates(detector), NodeStates(detector)
    one.score(rows((0, 10, 1), (3, 12, 1)))
    other.restore(one.snapshot())
    later = rows((0, 20, 1), (3, 20, 1), (3, 11, 1))
    assert one.score(later).score.tolist() == other.score(later).score.tolist()
    assert np.array_equal(one.snapshot().state, other.snapshot().state)


def test_a_snapshot_of_some_nodes_has_those_that_were_scored(detector: Detector) -> None:
    states = NodeStates(detector)
    states.score(rows((0, 10, 1), (3, 12, 1)))
    assert states.snapshot(np.array([3, 2, 99], np.int32)).node.tolist() == [3]


def test_states_of_another_model_are_refused(detector: Detector, tmp_path: Path) -> None:
    other = Detector.load(write(tmp_path / "other.onnx", version="v2"), FEATURES)
    with pytest.raises(ModelError, match="states of model v1"):
        NodeStates(other).restore(NodeStates(detector).snapshot())


def test_a_batch_that_the_model_fails_on_has_no_score_and_its_nodes_begin_anew(tmp_path: Path) -> None:
    # Out of bounds for x = 7, and for nothing that the trial tries.
    graph = Graph()
    first = graph.op("Cast", graph.op("Equal", "x", graph.const(7)), to=onnx.TensorProto.INT64)
    index = graph.op("ReduceMax", graph.op("Mul", first, graph.const(99, np.int64)), keepdims=0)
    picked = graph.op("Gather", graph.const([0.0]), index)
    nothing = graph.op("Mul", graph.op("ReduceSum", "state", graph.const([1], np.int64), keepdims=0), picked)
    model = graph.close(
        score=nothing,
        next_state=graph.op("Add", "state", graph.const(1)),
        contribution=None,
        features=FEATURES,
        state=np.zeros(1, np.float32),
    )
    states = NodeStates(Detector.load(write(tmp_path / "m.onnx", model), FEATURES))
    assert len(states.score(rows((0, 1, 1)))) == 1
    assert len(states.score(rows((0, 2, 7)))) == 0
    assert states.snapshot().state.tolist() == [[0.0]]
    assert len(states.score(rows((0, 3, 1)))) == 1


def test_a_score_that_is_not_finite_is_left_out_and_the_node_begins_anew(tmp_path: Path) -> None:
    # Finite in every trial, but 1/(x − 0.5) is not for x = 0.5.
    graph = Graph()
    x = graph.op("Where", graph.op("IsNaN", "x"), graph.const(0), "x")
    size = graph.op("Abs", graph.op("Reciprocal", graph.op("Sub", x, graph.const(0.5))))
    model = graph.close(
        score=graph.op("ReduceSum", size, graph.const([1], np.int64), keepdims=0),
        next_state=graph.op("Add", "state", graph.const(1)),
        contribution=None,
        features=FEATURES,
        state=np.zeros(1, np.float32),
    )
    states = NodeStates(Detector.load(write(tmp_path / "m.onnx", model), FEATURES))
    states.score(rows((0, 1, 1), (1, 1, 1)))
    assert states.score(rows((0, 2, 0.5), (1, 2, 1))).node.tolist() == [1]
    assert states.snapshot().state.tolist() == [[0], [2]]
