"""The default: the best combination found.

With labelled attacks, boosted trees and extremely randomised ones vote on their evidence, and on single features where
these say the same on every node. Without, two measures of how a node deviates from its own baseline count alike: the
mean square, which any large deviation raises, and what a network cannot rebuild, which leaves out what moves together
on a node that works.
"""

from __future__ import annotations

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier

from models.detectors import autoencoder, gradient_boosting, mean_z2, supervised, unlabelled
from models.detectors.build import Build
from models.detectors.deviations import Prior
from models.detectors.unlabelled import Measure
from models.graph import Graph
from models.table import Table
from receiver.columns import Float32

# Each measure is a part of what this share of normal rows go beyond: there its tail begins, and an alarm lies in it.
TAIL_SHARE = 0.01
# In such parts; a measure that is at its least threshold everywhere gives 1.
LEAST_THRESHOLD = 1.0


def fit(rows: Table) -> Build:
    """Supervised where there are enough attacks to learn from."""
    if not supervised.can_learn(rows):
        return unlabelled.fit(rows, measure, LEAST_THRESHOLD)
    extra_trees = ExtraTreesClassifier(
        n_estimators=40, max_depth=10, min_samples_leaf=10, max_features=0.4, random_state=supervised.SEED
    )
    return supervised.fit(rows, [gradient_boosting.learner(), extra_trees])


def measure(prior: Prior, harmful: Float32) -> Measure:
    """The mean of both measures, each as a part of its tail's beginning or of its least threshold."""
    members = []
    for detector in (mean_z2, autoencoder):
        member = detector.measure(prior, harmful)
        tail = float(np.quantile(unlabelled.measured(member, harmful), 1 - TAIL_SHARE))
        members.append((member, max(tail, detector.LEAST_THRESHOLD)))

    def write(graph: Graph, harmful: str) -> str:
        return graph.op(
            "Mean", *(graph.op("Div", member(graph, harmful), graph.const(part)) for member, part in members)
        )

    return write
