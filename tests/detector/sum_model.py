"""A model whose scores one can add up in the head, and rows for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx

from models.graph import Graph, describe
from receiver.columns import Rows

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


def rows(*entries: tuple[int, float, float]) -> Rows:
    """Rows of (node, seconds, value of every feature)."""
    node = np.array([entry[0] for entry in entries], np.int32)
    time_ms = np.array([round(entry[1] * 1000) for entry in entries], np.int64)
    x = np.array([[entry[2]] * len(FEATURES) for entry in entries], np.float32).reshape(-1, len(FEATURES))
    return Rows(node, time_ms, x.astype(np.float64), x)
