"""What the principal components of normal deviations cannot rebuild.

Features move together on a node that works: more packets, more interrupts, less idle time. PCA of the
deviations learns these, and a row is as anomalous as its part outside of them.
"""

from __future__ import annotations

from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.decomposition import PCA

from models.detectors import unlabelled
from models.detectors.build import Build
from models.detectors.deviations import Prior
from models.detectors.unlabelled import Measure
from models.graph import ML_OPSET, OPSET, Graph
from models.table import Table
from receiver.columns import Float32

# Part of the variance of normal deviations that the components explain.
EXPLAINED_VARIANCE = 0.9
# Of what mean squares must have at least (`mean_z2`), the part that components leave.
LEAST_THRESHOLD = 0.75 * (1 - EXPLAINED_VARIANCE)


def fit(rows: Table) -> Build:
    """Components of what normal rows deviate by."""
    return unlabelled.fit(rows, measure, LEAST_THRESHOLD)


def measure(prior: Prior, harmful: Float32) -> Measure:
    """The mean square of the part outside of the components, of averages over ten seconds."""
    components = PCA(n_components=EXPLAINED_VARIANCE, svd_solver="full").fit(harmful[:, unlabelled.TEN_SECONDS])
    projection = to_onnx(
        components,
        initial_types=[("deviations", FloatTensorType([None, harmful.shape[2]]))],
        target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
    )

    def write(graph: Graph, harmful: str) -> str:
        known = unlabelled.ten_seconds(graph, harmful)
        within = graph.op("MatMul", graph.embed(projection, known), graph.const(components.components_))
        left = graph.op("Sub", known, graph.op("Add", within, graph.const(components.mean_)))
        return graph.op("MatMul", graph.op("Mul", left, left), graph.const(unlabelled.mean(prior)))

    return write
