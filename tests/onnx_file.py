"""What the models of a few lines have in common that tests write: inputs and outputs, and what their files say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import onnx
from onnx import TensorProto, helper


def floats(name: str, *shape: int | str) -> onnx.ValueInfoProto:
    """An input or output."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def inputs(features: int) -> list[onnx.ValueInfoProto]:
    """Those of the contract; the state is one number."""
    return [floats("x", "N", features), floats("elapsed_seconds", "N"), floats("state", "N", 1)]


def save(path: Path, graph: onnx.GraphProto, features: Sequence[str], version: str, provenance: str = "{}") -> Path:
    """Write the model, whose detector is named as its graph is, to `path`."""
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    metadata = {
        "contract": "1",
        "version": version,
        "detector": graph.name,
        "created": "2026-11-20T08:00:00Z",
        "features": json.dumps(features),
        "initial_state": "[0.0]",
        "provenance": provenance,
    }
    helper.set_model_props(model, {f"nodescore.{name}": value for name, value in metadata.items()})
    onnx.save(model, path)
    return path
