"""What a feature is like on normal rows: its unit, level, scale, spread and harmful direction.

In: normal rows of a `Table`, times in order. Out: `frame.Scales`. No labels are read. Costs two passes.

**Unit.** A hundredth of the median or a tenth of the lowest decile of a feature's values that are not 0,
whichever is more: nearly all that it usually is lies in the logarithmic part. A feature that stays within
[0, 1] is a share and has unit 1: asinh is nearly straight there. What
`models.meaning` says of a feature goes before the data.

**Evidence.** A short recording of one machine shows neither how that machine behaves on another day nor how
others do. So the variance is the mean of what was seen, weighing the time seen, and of a prior worth
`PRIOR_SECONDS`; and the spread of the nodes' levels is that of a population of machines, unless many nodes were
seen. With weeks of many nodes the priors are worth nothing.
"""

from __future__ import annotations

import numpy as np

from models.frame import Scales
from models.meaning import MEANINGS, SHARE
from models.table import Table
from receiver.columns import Float64

# One standard deviation of the noise, before anything is known: 5 % of a share, a factor of 1.35 of an amount.
PRIOR_SHARE, PRIOR_AMOUNT = 0.05, 0.3
PRIOR_SECONDS = 6 * 3600.0
# Levels of machines: shares lie anywhere in [0, 1] (that is ±0.29), amounts within a factor of ten (1 σ).
SPREAD_SHARE, SPREAD_AMOUNT = 0.29, 2.3
# So many nodes must be seen to weigh as much as these spreads do.
SPREAD_PRIOR_NODES = 10.0
# No row stands for more time than this.
MAX_ROW_SECONDS = 300.0


def blank(normal: Table) -> Scales:
    """Scales of which only units and directions are known: enough for `frame.smoother`."""
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
    nothing = np.zeros(features)
    return Scales(normal.features, unit, nothing, nothing + 1, nothing + 1, direction, weight)


def fit(normal: Table, smooth: Float64, row_seconds: Float64) -> Scales:
    """Scales of compressed, smoothed input `smooth` [R, F] of rows that stand for `row_seconds` [R]."""
    start = blank(normal)
    present = ~np.isnan(normal.x)
    nodes, features = len(normal.nodes), len(normal.features)
    weight = np.minimum(row_seconds, MAX_ROW_SECONDS)[:, None] * present
    seconds = np.zeros((nodes, features))
    total = np.zeros((nodes, features))
    np.add.at(seconds, normal.node, weight)
    np.add.at(total, normal.node, weight * smooth)
    seen = seconds > 0
    mean = total / np.maximum(seconds, 1e-9)
    around = np.zeros((nodes, features))
    np.add.at(around, normal.node, weight * (smooth - mean[normal.node]) ** 2)

    nodes_seen = np.maximum(seen.sum(axis=0), 1)
    level = np.where(seen, mean, 0).sum(axis=0) / nodes_seen
    between = np.where(seen, (mean - level) ** 2, 0).sum(axis=0) / nodes_seen
    share = start.unit == SHARE
    prior = np.where(share, PRIOR_SHARE, PRIOR_AMOUNT) ** 2
    # The calm half of the nodes sets it: a node's own variance can grow in the frame, but not fall below.
    own = np.where(seen, around / np.maximum(seconds, 1e-9), np.nan)
    own[:, ~seen.any(axis=0)] = 0
    own = np.nanmedian(own, axis=0)
    variance = (seconds.sum(axis=0) * own + PRIOR_SECONDS * prior) / (seconds.sum(axis=0) + PRIOR_SECONDS)
    least = np.array([MEANINGS[name].scale if name in MEANINGS else 0.0 for name in normal.features])
    variance = np.maximum(variance, least**2)
    prior = np.where(share, SPREAD_SHARE, SPREAD_AMOUNT) ** 2
    spread = (nodes_seen * between + SPREAD_PRIOR_NODES * prior) / (nodes_seen + SPREAD_PRIOR_NODES)
    return Scales(start.names, start.unit, level, np.sqrt(variance), np.sqrt(spread), start.direction, start.weight)
