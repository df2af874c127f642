"""Loading a model, stepping it, and what is remembered of nodes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper

from models.graph import Graph, describe
from receiver.columns import Rows, Scores
from receiver.detector import Detector, NodeStates, Watch
from receiver.detector.external import refers_to_files
from receiver.errors import ModelError
from receiver.settings import MAX_MODEL_BYTES

FEATURES = ("a", "b", "c")
METADATA = {"contract": "1", "version": "v1", "detector": "sum", "created": "2026-11-20T08:00:00Z", "provenance": {}}


def sum_graph(explained: bool = False, features: tuple[str, ...] = FEATURES) -> onnx.ModelProto:
    """Score: Σ |x|, missing 0, at most 1000 each. State: seconds seen, rows seen."""
    graph = Graph()
    size = graph.op("Where", graph.op("IsNaN", "x"), graph.const(0), graph.op("Abs", "x"))
    size = graph.op("Min", size, graph.const(1000))
    seconds = graph.op("Unsqueeze", "elapsed_seconds", graph.const([1], np.int64))
    one = graph.op("Add", graph.op("Mul", seconds, graph.const(0)), graph.const(1))
    return graph.close(
        score=graph.op("ReduceSum", size, graph.const([1], np.int64), keepdims=0),
        next_state=graph.op("Add", "state", graph.op("Concat", seconds, one, axis=1)),
        contribution=size if explained else None,
        features=features,
        state=np.zeros(2, np.float32),
    )


def write(path: Path, model: onnx.ModelProto | None = None, **metadata: Any) -> Path:
    model = model or sum_graph()
    describe(model, METADATA | metadata)
    path.write_bytes(model.SerializeToString())
    return path


def without(model: onnx.ModelProto, entry: str) -> onnx.ModelProto:
    kept = [prop for prop in model.metadata_props if prop.key != f"nodescore.{entry}"]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    return model


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "model.onnx")


@pytest.fixture
def detector(path: Path) -> Detector:
    return Detector.load(path, FEATURES)


def rows(*entries: tuple[int, float, float]) -> Rows:
    """Rows of (node, seconds, value of every feature)."""
    node = np.array([entry[0] for entry in entries], np.int32)
    time_ms = np.array([round(entry[1] * 1000) for entry in entries], np.int64)
    x = np.array([[entry[2]] * len(FEATURES) for entry in entries], np.float32).reshape(-1, len(FEATURES))
    return Rows(node, time_ms, x.astype(np.float64), x)


def by_row(scores: Scores) -> dict[tuple[int, int], float]:
    keys = zip(scores.node.tolist(), scores.time_ms.tolist(), strict=True)
    return dict(zip(keys, scores.score.tolist(), strict=True))


class TestLoading:
    def test_says_what_the_model_is(self, path: Path) -> None:
        info = Detector.load(path, FEATURES).info
        assert (info.version, info.detector, info.feature_names, info.state_size) == ("v1", "sum", FEATURES, 2)
        assert len(info.sha256) == 64

    def test_other_features_are_refused_with_both_lists(self, path: Path) -> None:
        with pytest.raises(ModelError, match=r"model: a, b, c; catalogue: a, c, b"):
            Detector.load(path, ("a", "c", "b"))

    def test_without_features_to_compare_any_are_taken(self, path: Path) -> None:
        assert Detector.load(path).info.feature_names == FEATURES

    @pytest.mark.parametrize("body", [b"", b"hello", b"\xff" * 100, bytes(1000)])
    def test_a_file_that_is_no_model_is_one_clear_line(self, tmp_path: Path, body: bytes) -> None:
        (tmp_path / "m.onnx").write_bytes(body)
        with pytest.raises(ModelError, match=r"m\.onnx") as caught:
            Detector.load(tmp_path / "m.onnx")
        assert "\n" not in str(caught.value)

    @given(cut=st.integers(0, 10_000), flip=st.integers(0, 10_000), byte=st.integers(0, 255))
    def test_a_damaged_model_loads_or_is_a_model_error(self, cut: int, flip: int, byte: int) -> None:
        model = sum_graph()
        describe(model, METADATA)
        body = bytearray(model.SerializeToString())
        body[flip % len(body)] = byte
        try:
            Detector.parse(bytes(body[: len(body) - cut % 50]), Path("m.onnx"), FEATURES)
        except ModelError as error:
            assert "\n" not in str(error)  # noqa: PT017 - loading is as good

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="cannot be read: No such file"):
            Detector.load(tmp_path / "none.onnx")

    def test_a_file_over_the_limit_is_not_read(self, tmp_path: Path) -> None:
        with (tmp_path / "m.onnx").open("wb") as file:
            file.truncate(MAX_MODEL_BYTES + 1)
        with pytest.raises(ModelError, match="larger than"):
            Detector.load(tmp_path / "m.onnx")

    def test_data_in_another_file_is_refused_even_where_the_file_is_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = sum_graph()
        describe(model, METADATA)
        tensor = numpy_helper.from_array(np.ones(3, np.float32), "outside")
        (tmp_path / "weights.bin").write_bytes(tensor.raw_data)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", "weights.bin"
        model.graph.initializer.append(tensor)
        (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
        monkeypatch.chdir(tmp_path)
        with pytest.raises(ModelError, match="must be one file"):
            Detector.load(tmp_path / "m.onnx", FEATURES)

    @pytest.mark.parametrize("entry", ["contract", "version", "features", "initial_state", "provenance"])
    def test_metadata_that_lacks_is_named(self, tmp_path: Path, entry: str) -> None:
        model = sum_graph()
        describe(model, METADATA)
        (tmp_path / "m.onnx").write_bytes(without(model, entry).SerializeToString())
        with pytest.raises(ModelError, match=rf"no metadata nodescore\.{entry}"):
            Detector.load(tmp_path / "m.onnx", FEATURES)

    def test_another_contract_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="contract 2; this version of Nodescore knows 1"):
            Detector.load(write(tmp_path / "m.onnx", contract="2"), FEATURES)

    def test_metadata_must_fit_the_graph(self, tmp_path: Path) -> None:
        model = without(sum_graph(), "initial_state")
        with pytest.raises(ModelError, match=r"input state is tensor\(float\) \['N', 2\]"):
            Detector.load(write(tmp_path / "m.onnx", model, initial_state=[0.0, 0.0, 0.0]), FEATURES)

    def test_an_unknown_output_is_refused(self, tmp_path: Path) -> None:
        model = sum_graph()
        model.graph.output.append(onnx.helper.make_tensor_value_info("op_0", TensorProto.FLOAT, ["N", 3]))
        model.graph.output[-1].name = model.graph.node[1].output[0]
        with pytest.raises(ModelError, match="outputs are"):
            Detector.load(write(tmp_path / "m.onnx", model), FEATURES)

    def test_a_model_that_missing_values_break_is_refused(self, tmp_path: Path) -> None:
        graph = Graph()
        model = graph.close(
            score=graph.op("ReduceSum", "x", graph.const([1], np.int64), keepdims=0),
            next_state="state",
            contribution=None,
            features=FEATURES,
            state=np.zeros(1, np.float32),
        )
        with pytest.raises(ModelError, match="score is not finite where every x is nan"):
            Detector.load(write(tmp_path / "m.onnx", model), FEATURES)

    def test_a_model_without_state_is_one(self, tmp_path: Path) -> None:
        graph = Graph()
        model = graph.close(
            score=graph.op("Mul", "elapsed_seconds", graph.const(0)),
            next_state="state",
            contribution=None,
            features=FEATURES,
            state=np.zeros(0, np.float32),
        )
        states = NodeStates(Detector.load(write(tmp_path / "m.onnx", model), FEATURES))
        assert len(states.score(rows((0, 1, 1), (1, 1, 1)))) == 2


@given(st.binary(max_size=200))
def test_any_bytes_refer_to_files_or_not_or_are_no_protobuf(body: bytes) -> None:
    try:
        refers_to_files(body)
    except ValueError as error:
        assert str(error)  # noqa: PT017 - both are good


class TestContributions:
    def step(self, detector: Detector, x: list[list[float]]) -> Any:
        state = np.tile(detector.initial_state, (len(x), 1))
        return detector.step(np.array(x, np.float32), np.zeros(len(x), np.float32), state)

    def test_are_the_graphs_where_it_has_them(self, tmp_path: Path) -> None:
        detector = Detector.load(write(tmp_path / "m.onnx", sum_graph(explained=True)), FEATURES)
        assert self.step(detector, [[0.1, 0.2, np.nan]]).contribution.tolist() == [
            [np.float32(0.1), np.float32(0.2), 0]
        ]

    def test_are_computed_for_rows_over_the_threshold_only(self, detector: Detector) -> None:
        contribution = self.step(detector, [[0.1, 0.2, 0.3], [3.0, 1.0, 0.0]]).contribution
        assert np.isnan(contribution[0]).all()
        assert contribution[1].tolist() == [3.0, 1.0, 0.0]

    def test_sum_to_the_score(self, detector: Detector) -> None:
        result = self.step(detector, [[5.0, np.nan, 2.5]])
        assert result.contribution.sum() == pytest.approx(result.score[0])
        assert result.contribution[0, 1] == 0


class TestStates:
    def test_a_first_row_has_no_time_behind_it(self, detector: Detector) -> None:
        states = NodeStates(detector)
        states.score(rows((7, 1000, 1)))
        assert states.snapshot().state.tolist() == [[0, 1]]

    def test_time_is_counted_from_the_nodes_previous_row(self, detector: Detector) -> None:
        states = NodeStates(detector)
        states.score(rows((0, 10, 1), (1, 15, 1)))
        states.score(rows((0, 12.5, 1), (1, 16, 1)))
        assert states.snapshot().state.tolist() == [[2.5, 2], [1, 2]]

    def test_scores_come_in_the_order_of_the_rows(self, detector: Detector) -> None:
        scores = NodeStates(detector).score(rows((2, 10, 2), (0, 10, 0.5), (1, 10, 1)))
        assert scores.node.tolist() == [2, 0, 1]
        assert scores.score.tolist() == [6, 1.5, 3]

    def test_a_row_that_is_not_newer_is_left_out(self, detector: Detector) -> None:
        states = NodeStates(detector)
        states.score(rows((0, 10, 1)))
        scores = states.score(rows((0, 10, 1), (0, 9, 1), (1, 9, 1)))
        assert scores.node.tolist() == [1]
        assert states.snapshot().state.tolist() == [[0, 1], [0, 1]]

    def test_the_same_time_twice_in_one_flush_is_scored_once(self, detector: Detector) -> None:
        assert len(NodeStates(detector).score(rows((0, 10, 1), (0, 10, 2)))) == 1

    def test_no_rows_are_no_scores(self, detector: Detector) -> None:
        assert len(NodeStates(detector).score(Rows.empty(len(FEATURES)))) == 0

    @given(data=st.data(), times=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30)), unique=True, max_size=40))
    def test_any_cut_into_flushes_in_time_gives_the_same(
        self, data: st.DataObject, times: list[tuple[int, int]]
    ) -> None:
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

    def test_restored_states_go_on_where_they_were(self, detector: Detector) -> None:
        one, other = NodeStates(detector), NodeStates(detector)
        one.score(rows((0, 10, 1), (3, 12, 1)))
        other.restore(one.snapshot())
        later = rows((0, 20, 1), (3, 20, 1), (3, 11, 1))
        assert one.score(later).score.tolist() == other.score(later).score.tolist()
        assert np.array_equal(one.snapshot().state, other.snapshot().state)

    def test_a_snapshot_of_some_nodes_has_those_that_were_scored(self, detector: Detector) -> None:
        states = NodeStates(detector)
        states.score(rows((0, 10, 1), (3, 12, 1)))
        assert states.snapshot(np.array([3, 2, 99], np.int32)).node.tolist() == [3]

    def test_states_of_another_model_are_refused(self, detector: Detector, tmp_path: Path) -> None:
        other = Detector.load(write(tmp_path / "other.onnx", version="v2"), FEATURES)
        with pytest.raises(ModelError, match="states of model v1"):
            NodeStates(other).restore(NodeStates(detector).snapshot())

    def test_a_batch_that_the_model_fails_on_has_no_score_and_its_nodes_begin_anew(self, tmp_path: Path) -> None:
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

    def test_a_score_that_is_not_finite_is_left_out_and_the_node_begins_anew(self, tmp_path: Path) -> None:
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


class TestWatch:
    def put(self, path: Path, body: bytes, mtime_ns: int) -> None:
        path.write_bytes(body)
        os.utime(path, ns=(mtime_ns, mtime_ns))

    def test_a_file_that_stays_gives_nothing(self, detector: Detector) -> None:
        watch = Watch(detector, FEATURES)
        assert [watch.poll(), watch.poll()] == [None, None]

    def test_a_touched_file_of_the_same_content_gives_nothing(self, path: Path, detector: Detector) -> None:
        watch = Watch(detector, FEATURES)
        self.put(path, path.read_bytes(), 10**18)
        assert watch.poll() is None

    def test_a_new_file_gives_its_detector_until_it_is_taken(self, path: Path, detector: Detector) -> None:
        watch = Watch(detector, FEATURES)
        write(path, version="v2")
        found = watch.poll()
        assert found is not None
        assert found.info.version == "v2"
        assert watch.poll() is found
        watch.taken(found)
        assert watch.poll() is None

    def test_a_bad_file_is_told_while_it_lies_there_and_a_good_one_after_it_is_given(
        self, path: Path, detector: Detector
    ) -> None:
        watch = Watch(detector, FEATURES)
        self.put(path, b"half a fi", 10**18)
        for _ in range(2):
            with pytest.raises(ModelError):
                watch.poll()
        write(path, version="v2")
        os.utime(path, ns=(2 * 10**18, 2 * 10**18))
        assert watch.poll() is not None

    def test_a_file_that_is_gone_is_told(self, path: Path, detector: Detector) -> None:
        watch = Watch(detector, FEATURES)
        path.unlink()
        with pytest.raises(ModelError, match="the model in use stays"):
            watch.poll()


def test_nothing_is_kept_of_the_machine_for_the_makers_of_the_runtime(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    environment = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path / "tmp"), "PYTHONPATH": os.pathsep.join(sys.path)}
    load = (
        "from receiver.detector import Detector; from receiver.registry import shipped_model as m; Detector.load(m())"
    )
    subprocess.run([sys.executable, "-c", load], env=environment, check=True)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
