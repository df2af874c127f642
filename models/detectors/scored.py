"""From a measure of a row to a closed graph: score, contributions, and a baseline that learns rows under the alarm.

In: a graph over `deviations.observe`, and the name of a measure [N, 1], ≥ 0. Out: the model whose 1.0 is a threshold.
"""

from __future__ import annotations

import numpy as np
import onnx

from models import own_threshold
from models.detectors import evidence
from models.detectors.deviations import Observed, Prior
from models.graph import Graph
from models.own_threshold import Alarm


def close(
    graph: Graph, prior: Prior, observed: Observed, measure: str, alarm: Alarm, rate: str | None = None
) -> onnx.ModelProto:
    """The measure over the threshold is the score; rows over 1.0 are not learnt, others at `rate` [N, 1], or wholly."""
    initial = prior.initial_state()
    judged = own_threshold.judge(graph, measure, alarm, len(initial))
    score = graph.op("Squeeze", judged.score, graph.const([1], np.int64))
    calm = graph.op("Cast", graph.op("LessOrEqual", judged.score, graph.const(1)), to=onnx.TensorProto.FLOAT)
    if rate is not None:
        calm = graph.op("Mul", calm, rate)
    return graph.close(
        score=score,
        next_state=graph.op("Concat", *observed.next_state(calm), *judged.next_state, axis=1),
        contribution=evidence.contribution(graph, observed.z, score, prior.direction),
        features=prior.names,
        state=np.concatenate([initial, own_threshold.initial_state(alarm)]),
    )
