"""An Isolation Forest over a node's deviations from itself (Liu, Ting, Zhou 2008).

The measure is that paper's anomaly score, 2^(−E[path] / c(n)), between 0 and 1: a row is as anomalous as few random
cuts part it from all others.
"""

from __future__ import annotations

import numpy as np
import onnx
from sklearn.ensemble import IsolationForest

from models.detectors import deviations, replay, scored, trees
from models.detectors.build import Build
from models.detectors.deviations import HALF_LIVES_SECONDS
from models.detectors.evidence import harm
from models.graph import Graph
from models.own_threshold import Alarm
from models.table import Table

TREES, ROWS_PER_TREE = 100, 256
SEED = 0
# What is neither unusual nor usual has 0.5, by the score's definition.
LEAST_THRESHOLD = 0.5


def fit(rows: Table) -> Build:
    """Trees over normal deviations of all half-lives, each counted in its harmful direction."""
    normal = rows.normal()
    prior = deviations.fit(normal)
    width = len(HALF_LIVES_SECONDS) * len(prior.names)
    seen = harm(replay.watch(prior, normal), prior.direction).reshape(-1, width)
    forest = IsolationForest(n_estimators=TREES, max_samples=min(ROWS_PER_TREE, len(seen)), random_state=SEED).fit(seen)
    cuts = trees.isolating(forest)
    usual = float(trees.mean_cuts(np.array(forest.max_samples_))) * TREES

    def build(alarm: Alarm) -> onnx.ModelProto:
        graph = Graph()
        observed = deviations.observe(graph, prior)
        directed = graph.op("Mul", observed.z, graph.const(prior.direction))
        both = graph.const(prior.direction == 0, np.bool_)
        harmful = graph.op("Where", both, graph.op("Abs", observed.z), directed)
        flat = graph.op("Reshape", harmful, graph.const([-1, width], np.int64))
        exponent = graph.op("Mul", graph.embed(cuts, flat), graph.const(-np.log(2) / usual))
        measure = graph.op("Exp", exponent)
        return scored.close(graph, prior, observed, measure, alarm)

    return Build(build, LEAST_THRESHOLD)
