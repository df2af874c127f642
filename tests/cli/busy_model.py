"""A model of a few lines that anybody can check: a node scores how busy its CPUs are, 1.0 at 70 %."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from receiver.catalogue import load

FEATURES = load().feature_names
BUSY_SHARE = 0.7


def write(path: Path, features: tuple[str, ...] = FEATURES, version: str = "busy-1") -> Path:
    """Write the model to `path`."""
    count = len(features)
    idle = features.index("cpu_sec_idle")

    def floats(name: str, *shape: int | str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    only_idle = np.zeros((1, count), np.float32)
    only_idle[0, idle] = 1.0
    constants: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]] = {
        "idle": np.array([idle], np.int64),
        "axis": np.array([1], np.int64),
        "one": np.array(1.0, np.float32),
        "share": np.array(BUSY_SHARE, np.float32),
        "zero": np.array(0.0, np.float32),
        "limit": np.array(1000.0, np.float32),
        "only_idle": only_idle,
    }
    nodes = [
        helper.make_node("Gather", ["x", "idle"], ["idle_share"], axis=1),
        helper.make_node("Sub", ["one", "idle_share"], ["busy"]),
        helper.make_node("Div", ["busy", "share"], ["ratio"]),
        helper.make_node("IsNaN", ["ratio"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "ratio"], ["known"]),
        helper.make_node("Clip", ["known", "zero", "limit"], ["column"]),
        helper.make_node("Squeeze", ["column", "axis"], ["score"]),
        helper.make_node("Mul", ["column", "only_idle"], ["contribution"]),
        helper.make_node("Identity", ["state"], ["next_state"]),
    ]
    graph = helper.make_graph(
        nodes,
        "busy",
        [floats("x", "N", count), floats("elapsed_seconds", "N"), floats("state", "N", 1)],
        [floats("score", "N"), floats("next_state", "N", 1), floats("contribution", "N", count)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    metadata = {
        "contract": "1",
        "version": version,
        "detector": "busy",
        "created": "2026-11-20T08:00:00Z",
        "features": json.dumps(features),
        "initial_state": "[0.0]",
        "provenance": "{}",
    }
    helper.set_model_props(model, {f"nodescore.{name}": value for name, value in metadata.items()})
    onnx.save(model, path)
    return path
