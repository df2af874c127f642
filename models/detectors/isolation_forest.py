"""An Isolation Forest over a node's deviations from itself (Liu, Ting, Zhou 2008).

The measure is that paper's anomaly score, 2^(−E[path] / c(n)), between 0 and 1: a row is as anomalous as few random
cuts part it from all others.
"""

from __future__ import annotations

import numpy as np
from sklearn.ensemble import IsolationForest

from models.detectors import trees, unlabelled
from models.detectors.build import Build
from models.detectors.deviations import Prior
from models.detectors.unlabelled import Measure
from models.graph import Graph
from models.table import Table
from receiver.columns import Float32

TREES, ROWS_PER_TREE = 100, 256
SEED = 0
# What is neither unusual nor usual has 0.5, by the score's definition.
LEAST_THRESHOLD = 0.5


def fit(rows: Table) -> Build:
    """Trees over normal deviations."""
    return unlabelled.fit(rows, measure, LEAST_THRESHOLD)


def measure(_: Prior, harmful: Float32) -> Measure:
    """How early random cuts part a row from others, by deviations of all half-lives."""
    seen = harmful.reshape(len(harmful), -1)
    forest = IsolationForest(n_estimators=TREES, max_samples=min(ROWS_PER_TREE, len(seen)), random_state=SEED).fit(seen)
    cuts = trees.isolating(forest)
    usual = float(trees.mean_cuts(np.array(forest.max_samples_))) * TREES

    def write(graph: Graph, harmful: str) -> str:
        flat = graph.op("Reshape", harmful, graph.const([-1, seen.shape[1]], np.int64))
        return graph.op("Exp", graph.op("Mul", graph.embed(cuts, flat), graph.const(-np.log(2) / usual)))

    return write
