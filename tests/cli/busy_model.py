"""A model of a few lines that anybody can check: a node scores how busy its CPUs are, 1.0 at 70 %."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import helper, numpy_helper

from receiver.catalogue import load
from tests.onnx_file import floats, inputs, save

FEATURES = load().feature_names
BUSY_SHARE = 0.7


def write(path: Path, features: tuple[str, ...] = FEATURES, version: str = "busy-1") -> Path:
    """Write the model to `path`."""
    count = len(features)
    idle = features.index("cpu_sec_idle")

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
        inputs(count),
        [floats("score", "N"), floats("next_state", "N", 1), floats("contribution", "N", count)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return save(path, graph, features, version)
