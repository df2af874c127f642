"""From a measure of a row to a closed graph: score, contributions, and a baseline that learns rows under the alarm.

In: a graph over `deviations.observe`, and the name of a measure [N, 1], ≥ 0. Out: the model whose 1.0 is a threshold.
"""

from __future__ import annotations

import numpy as np
import onnx

from models import own_threshold
from models.detectors import evidence
from models.detectors.deviations import Observed, Prior
from models.following import next_state
from models.graph import Graph
from models.own_threshold import Alarm


def close(
    graph: Graph,
    prior: Prior,
    observed: Observed,
    measure: str,
    alarm: Alarm,
    *,
    told: str,
    rate: str,
) -> onnx.ModelProto:
    """The measure over the threshold is the score; rows over 1.0 are not learnt, others at `rate` [N, 1].

    `told` [N, H, F], ≥ 0, is what features are named by.
    """
    initial = prior.initial_state()
    judged = own_threshold.judge(graph, measure, alarm, len(initial))
    over = graph.op("Greater", judged.score, graph.const(1))
    learnt = graph.op("Where", over, graph.const(0), rate)
    return graph.close(
        score=graph.op("Squeeze", judged.score, graph.const([1], np.int64)),
        next_state=next_state(graph, [*observed.following(learnt), *judged.following]),
        contribution=evidence.contribution(graph, told, judged.score),
        features=prior.names,
        state=np.concatenate([initial, own_threshold.initial_state(alarm)]),
    )
