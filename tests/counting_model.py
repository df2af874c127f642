"""A model that shows whether states go on: a node's score is how many of its rows were scored, in hundredths."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from receiver.catalogue import Catalogue
from tests.onnx_file import floats, inputs, save


def write(
    path: Path,
    catalogue: Catalogue,
    version: str = "counting-1",
    quantiles: Mapping[str, Sequence[float]] | None = None,
    offset: float = 0.0,
) -> Path:
    """Write the model to `path`; `quantiles` are those of its training rows, `offset` is added to all its scores."""

    def constant(name: str, value: float) -> onnx.TensorProto:
        return helper.make_tensor(name, TensorProto.FLOAT, [], [value])

    graph = helper.make_graph(
        [
            helper.make_node("Add", ["state", "one"], ["counted"]),
            helper.make_node("Min", ["counted", "most"], ["next_state"]),
            helper.make_node("Div", ["next_state", "hundred"], ["hundredths"]),
            helper.make_node("Squeeze", ["hundredths", "axis"], ["counted_score"]),
            helper.make_node("Add", ["counted_score", "offset"], ["score"]),
        ],
        "counting",
        inputs(len(catalogue.feature_names)),
        [floats("score", "N"), floats("next_state", "N", 1)],
        [
            constant("one", 1.0),
            constant("hundred", 100.0),
            constant("offset", offset),
            constant("most", 1e6),
            helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
        ],
    )
    provenance = json.dumps({"data": {"quantiles": quantiles or {}}})
    return save(path, graph, catalogue.feature_names, version, provenance)
