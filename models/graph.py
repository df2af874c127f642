"""Writing an ONNX graph as straight code, and closing it into a model file.

In: calls, one a node; every value is the name (a `str`) of a tensor. Out: `onnx.ModelProto` that satisfies the
contract of `receiver.detector`. Parts that skl2onnx made are spliced in with `embed`.

Constants are float32 unless given otherwise. Broadcasting is ONNX's, which is numpy's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper

from receiver.columns import Float32

# The newest that onnxruntime 1.20, our oldest, runs; what skl2onnx 1.18 can write.
OPSET = 18
ML_OPSET = 3
IR_VERSION = 9


class Graph:
    """A graph under construction over the contract's inputs: `x`, `elapsed_seconds`, `state`."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._prefix = ""  # of names, which no branch may share with another

    def const(self, value: ArrayLike, dtype: type[np.generic] = np.float32) -> str:
        """A constant; equal ones are kept once."""
        array = np.asarray(value, dtype)
        digest = hashlib.sha256(array.tobytes() + str((array.shape, array.dtype)).encode()).hexdigest()
        name = f"{self._prefix}const_{digest[:12]}"
        self._constants.setdefault(name, numpy_helper.from_array(array, name))
        return name

    def op(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """One node with one output."""
        output = self._name(op_type)
        self._nodes.append(helper.make_node(op_type, list(inputs), [output], **attributes))
        return output

    def choose(self, condition: str, then: Callable[[Graph], str], otherwise: Callable[[Graph], str]) -> str:
        """What one of two branches writes, by a condition of one element; the other one is not computed.

        A branch sees all that was written so far, and nothing of it is seen outside.
        """
        branches = {}
        for which, write in (("then_branch", then), ("else_branch", otherwise)):
            branch = Graph()
            branch._prefix = f"{self._name(which)}_"
            output = helper.make_tensor_value_info(write(branch), TensorProto.FLOAT, None)
            # Its own constants: each value from outside costs something each time.
            branches[which] = helper.make_graph(branch._nodes, which, [], [output], list(branch._constants.values()))
        return self.op("If", condition, **branches)

    def largest(self, tensor: str, count: int, axis: int) -> str:
        """The largest so many along an axis, the largest first."""
        output = self._name("TopK")
        inputs = [tensor, self.const([count], np.int64)]
        self._nodes.append(helper.make_node("TopK", inputs, [output, f"{output}_index"], axis=axis))
        return output

    def columns(self, tensor: str, start: int, stop: int) -> str:
        """tensor[:, start:stop]; onnxruntime makes one operator of all that cut one tensor."""
        cut = (self.const([value], np.int64) for value in (start, stop, 1))
        return self.op("Slice", tensor, *cut)

    def embed(self, model: onnx.ModelProto, value: str, output: str | None = None) -> str:
        """Splice in a model of one input over `value`; its output of that name, or its only one."""
        (model_input,) = (i.name for i in model.graph.input)
        outputs = [o.name for o in model.graph.output]
        (model_output,) = outputs if output is None else [output]
        names = {model_input: value, "": ""}
        for tensor in model.graph.initializer:
            names[tensor.name] = self.const(numpy_helper.to_array(tensor), numpy_helper.to_array(tensor).dtype.type)
        for node in model.graph.node:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            for index, name in enumerate(node.output):
                names[name] = f"{self._name(node.op_type)}_{index}"
            copy.input[:] = [names[name] for name in node.input]
            copy.output[:] = [names[name] for name in node.output]
            self._nodes.append(copy)
        return names[model_output]

    def _name(self, op_type: str) -> str:
        """Of what is written next."""
        return f"{self._prefix}{op_type.lower()}_{len(self._nodes)}"

    def close(
        self, *, score: str, next_state: str, contribution: str | None, features: Sequence[str], state: Float32
    ) -> onnx.ModelProto:
        """The model that gives these tensors, with its features and initial `state` [S] in the metadata."""
        outputs = {"score": score, "next_state": next_state}
        shapes: dict[str, list[int | str]] = {
            "x": ["N", len(features)],
            "elapsed_seconds": ["N"],
            "state": ["N", len(state)],
            "score": ["N"],
            "next_state": ["N", len(state)],
            "contribution": ["N", len(features)],
        }
        if contribution is not None:
            outputs["contribution"] = contribution
        nodes = [*self._nodes, *(helper.make_node("Identity", [tensor], [name]) for name, tensor in outputs.items())]
        value = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()}
        graph = helper.make_graph(
            nodes,
            "nodescore",
            [value["x"], value["elapsed_seconds"], value["state"]],
            [value[name] for name in outputs],
            list(self._constants.values()),
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="nodescore")
        onnx.checker.check_model(model, full_check=True)
        describe(model, {"features": list(features), "initial_state": [float(value) for value in state]})
        return model


def describe(model: onnx.ModelProto, metadata: Mapping[str, Any]) -> None:
    """Add `nodescore.…` metadata: text as it is, everything else as JSON."""
    for name, value in metadata.items():
        entry = model.metadata_props.add()
        entry.key = f"nodescore.{name}"
        entry.value = value if isinstance(value, str) else json.dumps(value)
