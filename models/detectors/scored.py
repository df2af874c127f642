"""From a measure of a row to a closed graph: score, contributions, and a baseline that learns rows under the alarm.

In: a graph over `deviations.observe`, and the name of a measure [N, 1], ≥ 0. Out: the model whose 1.0 is a threshold.
"""

from __future__ import annotations

import numpy as np
import onnx

from models.detectors import evidence
from models.detectors.deviations import Observed, Prior
from models.graph import Graph


def close(
    graph: Graph, prior: Prior, observed: Observed, measure: str, threshold: float, rate: str | None = None
) -> onnx.ModelProto:
    """The measure over the threshold is the score; rows over 1.0 are not learnt, others at `rate` [N, 1], or wholly."""
    over = graph.op("Div", measure, graph.const(threshold))
    score = graph.op("Squeeze", over, graph.const([1], np.int64))
    calm = graph.op("Cast", graph.op("LessOrEqual", over, graph.const(1)), to=onnx.TensorProto.FLOAT)
    if rate is not None:
        calm = graph.op("Mul", calm, rate)
    return graph.close(
        score=score,
        next_state=observed.next_state(calm),
        contribution=evidence.contribution(graph, observed.z, score, prior.direction),
        features=prior.names,
        state=prior.initial_state(),
    )
