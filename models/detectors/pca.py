"""What the principal components of normal deviations cannot rebuild, in the frame.

Features move together on a node that works: more packets, more interrupts, less idle time. PCA of the
deviations learns these, and a row is as anomalous as its part outside of them.
"""

from __future__ import annotations

import numpy as np
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models.detectors.build import Build
from models.detectors.mean_z2 import LEAST_THRESHOLD, frame_of
from models.frame import CLIP, Scales, Times, framed
from models.graph import ML_OPSET, OPSET, Graph
from models.own_threshold import NEVER_ALARMS, Alarm
from models.run import probe, run
from models.table import Table
from receiver.columns import Float64

# Part of the variance of normal deviations that the components explain.
EXPLAINED_VARIANCE = 0.9
# Deviations that hardly ever differ from 0 are not blown up by more than four.
MIN_SCALE = 0.25


def fit(rows: Table) -> Build:
    """Scales, then components of the deviations that the frame gives with them."""
    fitted, times, scaler, scaled_rows = scaled_deviations(rows.normal())
    components = PCA(n_components=EXPLAINED_VARIANCE, svd_solver="full").fit(scaled_rows)
    projection = make_pipeline(scaler, components)
    onnx_projection = to_onnx(
        projection,
        initial_types=[("deviations", FloatTensorType([None, len(rows.features)]))],
        target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
    )

    def unexplained(graph: Graph, deviation: str) -> str:
        clipped = graph.op("Clip", deviation, graph.const(-CLIP), graph.const(CLIP))
        scaled = graph.op("Div", graph.op("Sub", clipped, graph.const(scaler.mean_)), graph.const(scaler.scale_))
        within = graph.op("MatMul", graph.embed(onnx_projection, clipped), graph.const(components.components_))
        return graph.op("Sub", scaled, within)

    return Build(lambda alarm: framed(fitted, times, alarm, unexplained), LEAST_THRESHOLD * (1 - EXPLAINED_VARIANCE))


def scaled_deviations(normal: Table) -> tuple[Scales, Times, StandardScaler, Float64]:
    """The frame of normal rows; what they deviate by in it, scaled [R, F]; and the scaler."""
    fitted, times = frame_of(normal)
    looking = framed(fitted, times, Alarm(NEVER_ALARMS), lambda _, deviations: deviations, raw_deviations=True)
    deviations = np.clip(run(probe(looking), normal).contribution, -CLIP, CLIP)
    scaler = StandardScaler().fit(deviations)
    scaler.scale_ = np.maximum(scaler.scale_, MIN_SCALE)
    return fitted, times, scaler, scaler.transform(deviations)
