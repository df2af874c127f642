"""How many features agree that a node is not itself: the mean harmful deviation, each counted up to 3 σ.

Squares let one feature that is off by ten outweigh nine that are off by three; an attack shows in several at once,
by what the features mean (`models.meaning`). So a deviation counts up to `COUNTED` and no more, averaged over ten
seconds.
"""

from __future__ import annotations

from models.detectors import unlabelled
from models.detectors.build import Build
from models.detectors.deviations import Prior
from models.detectors.unlabelled import Measure
from models.graph import Graph
from models.table import Table
from receiver.columns import Float32

COUNTED = 3.0
# Of what the features could have together, the least that is worth an alarm: 0.3 σ in all of them.
LEAST_THRESHOLD = 0.3


def fit(rows: Table) -> Build:
    """What normal rows deviate by."""
    return unlabelled.fit(rows, measure, LEAST_THRESHOLD)


def measure(prior: Prior, _: Float32) -> Measure:
    """The mean; nothing is learnt for it."""

    def write(graph: Graph, harmful: str) -> str:
        counted = graph.op("Min", unlabelled.ten_seconds(graph, harmful), graph.const(COUNTED))
        return graph.op("MatMul", counted, graph.const(unlabelled.mean(prior)))

    return write
