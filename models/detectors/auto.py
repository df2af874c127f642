"""The default: the best combination found.

With labelled attacks, boosted trees and extremely randomised ones vote on their evidence, and on single features where
these say the same on every node. Without, the mean squared deviation from the node's own baseline judges.
"""

from __future__ import annotations

from sklearn.ensemble import ExtraTreesClassifier

from models.detectors import gradient_boosting, mean_z2, supervised
from models.detectors.build import Build
from models.table import Table


def fit(rows: Table) -> Build:
    """Supervised where there are enough attacks to learn from."""
    if not supervised.can_learn(rows):
        return mean_z2.fit(rows)
    extra_trees = ExtraTreesClassifier(
        n_estimators=40, max_depth=10, min_samples_leaf=10, max_features=0.4, random_state=supervised.SEED
    )
    return supervised.fit(rows, [gradient_boosting.learner(), extra_trees])
