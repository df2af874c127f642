"""A Random Forest on the evidence of labelled attacks."""

from __future__ import annotations

from sklearn.ensemble import RandomForestClassifier

from models.detectors import supervised
from models.detectors.build import Build
from models.table import Table


def fit(rows: Table) -> Build:
    """Forty trees that stop at ten rows: deeper ones follow a workload's accidents."""
    learner = RandomForestClassifier(
        n_estimators=40,
        max_depth=10,
        min_samples_leaf=10,
        max_features=0.4,
        max_samples=0.3,
        random_state=supervised.SEED,
    )
    return supervised.fit(rows, [learner])
