"""Gradient boosting of small trees on the evidence of labelled attacks."""

from __future__ import annotations

from sklearn.ensemble import HistGradientBoostingClassifier

from models.detectors import supervised
from models.detectors.build import Build
from models.table import Table


def fit(rows: Table) -> Build:
    """Sixty trees of eight leaves: more follow a workload's accidents."""
    return supervised.fit(rows, [learner()])


def learner() -> HistGradientBoostingClassifier:
    """Not yet fitted."""
    return HistGradientBoostingClassifier(
        max_iter=60,
        max_leaf_nodes=8,
        learning_rate=0.08,
        l2_regularization=10,
        min_samples_leaf=60,
        random_state=supervised.SEED,
    )
