"""How many features agree that a node is not itself: the mean harmful deviation, each counted up to 3 σ.

Squares let one feature that is off by ten outweigh nine that are off by three; an attack shows in several at once,
by what the features mean (`models.meaning`). So a deviation counts up to `COUNTED` and no more, averaged over ten
seconds. Unsupervised: normal rows only.

Below the alarm, but over what `CAUTIOUS_SHARE` of normal rows have, a baseline learns at `CAUTIOUS_RATE`: attacks too
weak for the budget do not become normal, and a node that has changed a little for good is learnt all the same.
"""

from __future__ import annotations

import numpy as np
import onnx

from models.detectors import deviations, replay, scored
from models.detectors.build import Build
from models.detectors.evidence import harm
from models.graph import Graph
from models.own_threshold import Alarm
from models.table import Table

COUNTED = 3.0
LENGTH = 2  # of deviations.HALF_LIVES_SECONDS: ten seconds
CAUTIOUS_SHARE, CAUTIOUS_RATE = 0.05, 0.1
# Of what the features could have together, the least that is worth an alarm: 0.3 σ in all of them.
LEAST_THRESHOLD = 0.3


def fit(rows: Table) -> Build:
    """What normal rows deviate by, and which of them are unusual."""
    normal = rows.normal()
    prior = deviations.fit(normal)
    weight = prior.seen / max(1.0, prior.seen.sum())
    usual = np.clip(harm(replay.watch(prior, normal)[:, LENGTH], prior.direction), 0, COUNTED) @ weight
    cautious = float(np.quantile(usual, 1 - CAUTIOUS_SHARE))

    def build(alarm: Alarm) -> onnx.ModelProto:
        graph = Graph()
        observed = deviations.observe(graph, prior)
        cut = [graph.const([value], np.int64) for value in (LENGTH, LENGTH + 1, 1)]
        z = graph.op("Squeeze", graph.op("Slice", observed.z, *cut), graph.const([1], np.int64))
        both = graph.const(prior.direction == 0, np.bool_)
        harmful = graph.op("Where", both, graph.op("Abs", z), graph.op("Mul", z, graph.const(prior.direction)))
        counted = graph.op("Clip", harmful, graph.const(0), graph.const(COUNTED))
        measure = graph.op("MatMul", counted, graph.const(weight[:, None]))
        rate = graph.op(
            "Where", graph.op("Less", measure, graph.const(cautious)), graph.const(1), graph.const(CAUTIOUS_RATE)
        )
        return scored.close(graph, prior, observed, measure, alarm, rate)

    return Build(build, LEAST_THRESHOLD)
