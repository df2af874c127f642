"""What the principal components of normal deviations cannot rebuild, in the frame.

Features move together on a node that works: more packets, more interrupts, less idle time. PCA of the
deviations learns these, and a row is as anomalous as its part outside of them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.decomposition import PCA

from models.detectors.mean_z2 import frame_of
from models.frame import CLIP, framed
from models.graph import ML_OPSET, OPSET, Graph
from models.run import probe, run
from models.table import Table

# Part of the variance of normal deviations that the components explain.
EXPLAINED_VARIANCE = 0.9
# A threshold under which no score is over 1.0: the baseline learns every row.
_NEVER_ALARMS = 1e30


def fit(rows: Table) -> Callable[[float], onnx.ModelProto]:
    """Scales, then components of the deviations that the frame gives with them."""
    normal = rows.normal()
    fitted, times = frame_of(normal)
    looking = framed(fitted, times, _NEVER_ALARMS, lambda _, deviations: deviations, raw_deviations=True)
    deviations = np.clip(run(probe(looking), normal).contribution, -CLIP, CLIP)
    components = PCA(n_components=EXPLAINED_VARIANCE, svd_solver="full").fit(deviations)
    onnx_components = to_onnx(
        components,
        initial_types=[("deviations", FloatTensorType([None, len(normal.features)]))],
        target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
    )

    def unexplained(graph: Graph, deviation: str) -> str:
        clipped = graph.op("Clip", deviation, graph.const(-CLIP), graph.const(CLIP))
        within = graph.op("MatMul", graph.embed(onnx_components, clipped), graph.const(components.components_))
        return graph.op("Sub", clipped, graph.op("Add", within, graph.const(components.mean_)))

    return lambda threshold: framed(fitted, times, threshold, unexplained)
