"""The paper's detector: a feature whose |z| is over 2 is unusual (Darwesh, Hammoud, Vorobeva 2023).

z is taken with the mean and standard deviation of the training rows, the same for every node and for all time:
no state, nor a node's own threshold. The score is how far all features together lie beyond unusual,
Σ max(|z| − 2, 0), over the threshold.
It is here to be compared with: nodes other than those trained on are soon beyond usual, all the time.
"""

from __future__ import annotations

import numpy as np
import onnx

from models.detectors.build import Build
from models.graph import Graph
from models.own_threshold import Alarm
from models.table import Table
from receiver.columns import Bool, Float64

UNUSUAL = 2.0
# One feature must not outweigh all others for ever.
CLIP = 30.0
# A constant feature has no scale; its smallest step is then this share of its size.
MIN_RELATIVE_SCALE = 0.01


def fit(rows: Table) -> Build:
    """Mean and standard deviation of the normal rows."""
    names, values, known = known_values(rows)
    return beyond(names, known, np.nanmean(values, axis=0), np.nanstd(values, axis=0))


def known_values(rows: Table) -> tuple[tuple[str, ...], Float64, Bool]:
    """Features; their values on normal rows [R, F], NaN where missing, 0 where always; which were ever seen [F]."""
    normal = rows.normal()
    values = np.where(np.isfinite(normal.x), normal.x, np.nan).astype(np.float64)
    known = np.asarray((~np.isnan(values)).any(axis=0))
    values[:, ~known] = 0
    return normal.features, values, known


def beyond(names: tuple[str, ...], known: Bool, centre: Float64, scale: Float64) -> Build:
    """The detector of how far features [F] lie beyond usual."""
    scale = np.maximum(scale, MIN_RELATIVE_SCALE * np.maximum(np.abs(centre), 1e-3))

    def build(alarm: Alarm) -> onnx.ModelProto:
        graph = Graph()
        deviation = graph.op("Div", graph.op("Sub", "x", graph.const(centre)), graph.const(scale))
        size = graph.op("Where", graph.op("IsNaN", "x"), graph.const(0), graph.op("Abs", deviation))
        size = graph.op("Clip", size, graph.const(UNUSUAL), graph.const(CLIP))
        above = graph.op("Mul", graph.op("Sub", size, graph.const(UNUSUAL)), graph.const(known / alarm.level))
        return graph.close(
            score=graph.op("ReduceSum", above, graph.const([1], np.int64), keepdims=0),
            next_state="state",
            contribution=above,
            features=names,
            state=np.zeros(0, np.float32),
        )

    return Build(build, least=1.0)
