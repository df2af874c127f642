"""Writing graphs by hand, and splicing in what skl2onnx makes."""

from __future__ import annotations

import numpy as np
import pytest
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models.graph import ML_OPSET, OPSET, Graph
from models.run import probe


def test_an_embedded_model_computes_what_scikit_learn_does() -> None:
    random = np.random.default_rng(0)
    x = (random.normal(size=(200, 4)) @ random.normal(size=(4, 4))).astype(np.float32)
    fitted = make_pipeline(StandardScaler(), PCA(4)).fit(x)
    converted = to_onnx(
        fitted, initial_types=[("values", FloatTensorType([None, 4]))], target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET}
    )
    graph = Graph()
    values = graph.op("Where", graph.op("IsNaN", "x"), graph.const(0), "x")
    values = graph.op("Clip", values, graph.const(-1e3), graph.const(1e3))
    model = graph.close(
        score=graph.op("Mul", "elapsed_seconds", graph.const(0)),
        next_state="state",
        contribution=graph.embed(converted, values),
        features=("a", "b", "c", "d"),
        state=np.zeros(1, np.float32),
    )
    result = probe(model).step(x, np.zeros(200, np.float32), np.zeros((200, 1), np.float32))
    assert np.allclose(result.contribution, fitted.transform(x), atol=1e-4)


def test_equal_constants_are_kept_once() -> None:
    graph = Graph()
    assert graph.const(1.5) == graph.const(1.5)
    assert len({graph.const(1.5), graph.const([1.5]), graph.const(2), graph.const(2, np.int64)}) == 4


@pytest.mark.parametrize(("seconds", "expected"), [(1.0, 1.0), (3.0, 30.0)])
def test_a_condition_chooses_which_branch_is_computed(seconds: float, expected: float) -> None:
    graph = Graph()
    long = graph.op("Less", graph.const(2), graph.op("ReduceMax", "elapsed_seconds", keepdims=0))
    ten = graph.const(10)
    chosen = graph.choose(
        long,
        lambda branch: branch.op("Mul", "elapsed_seconds", ten),
        lambda branch: branch.op("Mul", "elapsed_seconds", branch.const(1)),
    )
    model = graph.close(
        score=chosen, next_state="state", contribution=None, features=("a",), state=np.zeros(1, np.float32)
    )
    result = probe(model).step(np.zeros((2, 1), "f4"), np.full(2, seconds, "f4"), np.zeros((2, 1), "f4"))
    assert result.score.tolist() == [expected] * 2
