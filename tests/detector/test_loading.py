"""Which files are models, and what is said of the others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper

from models.graph import Graph, describe
from receiver.detector import Detector, NodeStates
from receiver.detector.external import refers_to_files
from receiver.errors import ModelError
from receiver.settings import MAX_MODEL_BYTES
from tests.detector.sum_model import FEATURES, METADATA, rows, sum_graph, without, write


def test_says_what_the_model_is(path: Path) -> None:
    info = Detector.load(path, FEATURES).info
    assert (info.version, info.detector, info.feature_names, info.state_size) == ("v1", "sum", FEATURES, 2)
    assert len(info.sha256) == 64


def test_other_features_are_refused_with_both_lists(path: Path) -> None:
    with pytest.raises(ModelError, match=r"model: a, b, c; catalogue: a, c, b"):
        Detector.load(path, ("a", "c", "b"))


def test_without_features_to_compare_any_are_taken(path: Path) -> None:
    assert Detector.load(path).info.feature_names == FEATURES


@pytest.mark.parametrize("body", [b"", b"hello", b"\xff" * 100, bytes(1000)])
def test_a_file_that_is_no_model_is_one_clear_line(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(body)
    with pytest.raises(ModelError, match=r"m\.onnx") as caught:
        Detector.load(tmp_path / "m.onnx")
    assert "\n" not in str(caught.value)


@given(cut=st.integers(0, 10_000), flip=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_a_damaged_model_loads_or_is_a_model_error(cut: int, flip: int, byte: int) -> None:
    model = sum_graph()
    describe(model, METADATA)
    body = bytearray(model.SerializeToString())
    body[flip % len(body)] = byte
    try:
        Detector.parse(bytes(body[: len(body) - cut % 50]), Path("m.onnx"), FEATURES)
    except ModelError as error:
        assert "\n" not in str(error)  # noqa: PT017 - loading is as good


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read: No such file"):
        Detector.load(tmp_path / "none.onnx")


def test_a_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "m.onnx").open("wb") as file:
        file.truncate(MAX_MODEL_BYTES + 1)
    with pytest.raises(ModelError, match="larger than"):
        Detector.load(tmp_path / "m.onnx")


def test_data_in_another_file_is_refused_even_where_the_file_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
def test_metadata_that_lacks_is_named(tmp_path: Path, entry: str) -> None:
    model = sum_graph()
    describe(model, METADATA)
    (tmp_path / "m.onnx").write_bytes(without(model, entry).SerializeToString())
    with pytest.raises(ModelError, match=rf"no metadata nodescore\.{entry}"):
        Detector.load(tmp_path / "m.onnx", FEATURES)


def test_another_contract_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="contract 2; this version of Nodescore knows 1"):
        Detector.load(write(tmp_path / "m.onnx", contract="2"), FEATURES)


def test_metadata_must_fit_the_graph(tmp_path: Path) -> None:
    model = without(sum_graph(), "initial_state")
    with pytest.raises(ModelError, match=r"input state is tensor\(float\) \['N', 2\]"):
        Detector.load(write(tmp_path / "m.onnx", model, initial_state=[0.0, 0.0, 0.0]), FEATURES)


def test_an_unknown_output_is_refused(tmp_path: Path) -> None:
    model = sum_graph()
    model.graph.output.append(onnx.helper.make_tensor_value_info("op_0", TensorProto.FLOAT, ["N", 3]))
    model.graph.output[-1].name = model.graph.node[1].output[0]
    with pytest.raises(ModelError, match="outputs are"):
        Detector.load(write(tmp_path / "m.onnx", model), FEATURES)


def test_a_model_that_missing_values_break_is_refused(tmp_path: Path) -> None:
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


def test_a_model_without_state_is_one(tmp_path: Path) -> None:
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


def test_nothing_is_kept_of_the_machine_for_the_makers_of_the_runtime(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    environment = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path / "tmp"), "PYTHONPATH": os.pathsep.join(sys.path)}
    load = (
        "from receiver.detector import Detector; from receiver.registry import shipped_model as m; Detector.load(m())"
    )
    subprocess.run([sys.executable, "-c", load], env=environment, check=True)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
