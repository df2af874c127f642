"""The paper's detector: a feature whose |z| is over 2 is unusual (Darwesh, Hammoud, Vorobeva 2023).

z is taken with the mean and standard deviation of the training rows, the same for every node and for all time:
no state. The score is how far all features together lie beyond unusual, Σ max(|z| − 2, 0), over the threshold.
It is here to be compared with: nodes other than those trained on are soon beyond usual, all the time.
"""

from __future__ import annotations

import numpy as np
import onnx

from models.detectors.build import Build
from models.graph import Graph
from models.table import Table

UNUSUAL = 2.0
# One feature must not outweigh all others for ever.
CLIP = 30.0
# A constant feature has no scale; its smallest step is then this share of its size.
MIN_RELATIVE_SCALE = 0.01


def fit(rows: Table) -> Build:
    """Mean and standard deviation of the normal rows."""
    normal = rows.normal()
    values = np.where(np.isfinite(normal.x), normal.x, np.nan).astype(np.float64)
    known = ~np.isnan(values).all(axis=0)
    values[:, ~known] = 0
    mean, scale = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    scale = np.maximum(scale, MIN_RELATIVE_SCALE * np.maximum(np.abs(mean), 1e-3))

    def build(threshold: float) -> onnx.ModelProto:
        graph = Graph()
        deviation = graph.op("Div", graph.op("Sub", "x", graph.const(mean)), graph.const(scale))
        size = graph.op("Where", graph.op("IsNaN", "x"), graph.const(0), graph.op("Abs", deviation))
        size = graph.op("Clip", size, graph.const(UNUSUAL), graph.const(CLIP))
        beyond = graph.op("Mul", graph.op("Sub", size, graph.const(UNUSUAL)), graph.const(known / threshold))
        return graph.close(
            score=graph.op("ReduceSum", beyond, graph.const([1], np.int64), keepdims=0),
            next_state="state",
            contribution=beyond,
            features=normal.features,
            state=np.zeros(0, np.float32),
        )

    return Build(build, least=1.0)
