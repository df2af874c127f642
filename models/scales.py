"""What is known of features before how nodes deviate is: their units, harmful directions, and which say something.

In: normal rows of a `Table`. Out: `Scales`. No labels are read. Costs a pass.

**Unit.** A hundredth of the median or a tenth of the lowest decile of a feature's values that are not 0,
whichever is more: nearly all that it usually is lies in the logarithmic part of asinh(x / unit), so that twice is
twice on a machine of 2 CPUs and of 200. A feature that stays within [0, 1] is a share and has unit 1: asinh is nearly
straight there. What `models.meaning` says of a feature goes before the data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.meaning import MEANINGS, SHARE
from models.table import Table
from receiver.columns import Float64


@dataclass(frozen=True, slots=True)
class Scales:
    """Of F features."""

    names: tuple[str, ...]
    unit: Float64  # [F] > 0
    direction: Float64  # [F] +1: only more is harmful, −1: only less is, 0: both are
    weight: Float64  # [F] 1.0, or 0.0 where training never saw one or its meaning says that it tells nothing


def fit(normal: Table) -> Scales:
    """By normal rows."""
    features = len(normal.features)
    unit, weight, direction = np.ones(features), np.zeros(features), np.zeros(features)
    for feature, name in enumerate(normal.features):
        values = normal.x[:, feature].astype(np.float64)
        values = values[np.isfinite(values)]
        weight[feature] = len(values) > 0
        size = np.abs(values[values != 0])
        is_share = not len(size) or (values.min() >= 0 and values.max() <= 1)
        if name in MEANINGS:
            meaning = MEANINGS[name]
            direction[feature], unit[feature] = meaning.direction, meaning.unit
            weight[feature] *= meaning.weight
            is_share = unit[feature] == SHARE
        if not is_share and len(size):
            unit[feature] = max(unit[feature], np.quantile(size, 0.1) / 10, np.median(size) / 100)
    return Scales(normal.features, unit, direction, weight)
