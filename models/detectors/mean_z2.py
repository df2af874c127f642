"""The mean squared deviation from the node's own baseline, over features and over trailing averages of all lengths.

Squares let a few features that are far off outweigh many that are a little: what an attack moves it moves far.
"""

from __future__ import annotations

import numpy as np

from models.detectors import unlabelled
from models.detectors.build import Build
from models.detectors.deviations import Prior
from models.detectors.unlabelled import Measure
from models.graph import Graph
from models.table import Table
from receiver.columns import Float32

# Half as much again as features of known direction, one standard deviation lively, have anyway.
LEAST_THRESHOLD = 0.75


def fit(rows: Table) -> Build:
    """What normal rows deviate by."""
    return unlabelled.fit(rows, measure, LEAST_THRESHOLD)


def measure(prior: Prior, _: Float32) -> Measure:
    """The mean square; nothing is learnt for it."""

    def write(graph: Graph, harmful: str) -> str:
        squares = graph.op("ReduceMean", graph.op("Mul", harmful, harmful), graph.const([1], np.int64), keepdims=0)
        return graph.op("MatMul", squares, graph.const(unlabelled.mean(prior)))

    return write
