"""What a small neural network cannot rebuild of normal deviations, in the frame: the papers' network, unsupervised.

As `pca`, with curves instead of planes: features that move together on a node that works are known together.
"""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

from models.detectors import pca
from models.detectors.build import Build
from models.detectors.mean_z2 import LEAST_THRESHOLD
from models.frame import CLIP, framed
from models.graph import Graph
from models.table import Table

# Of the features, so many numbers must say all: a third.
BOTTLENECK_SHARE = 1 / 3
MAX_EPOCHS = 30
# Rows it is fitted to, evenly taken: more teach a network of this size nothing.
MAX_ROWS = 20_000
# A part of the deviations stays unexplained on normal rows too.
LEAST_SHARE = 0.1
SEED = 0


def fit(rows: Table) -> Build:
    """Scales, then a network that rebuilds the deviations that the frame gives with them."""
    fitted, times, scaler, scaled = pca.scaled_deviations(rows.normal())
    some = scaled[:: max(1, len(scaled) // MAX_ROWS)].astype(np.float32)
    width = scaled.shape[1]
    hidden = max(1, round(width * BOTTLENECK_SHARE))
    network = MLPRegressor(hidden_layer_sizes=(hidden,), activation="tanh", max_iter=MAX_EPOCHS, random_state=SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is meant to stop early
        network.fit(some, some if width > 1 else some[:, 0])

    def unexplained(graph: Graph, deviation: str) -> str:
        clipped = graph.op("Clip", deviation, graph.const(-CLIP), graph.const(CLIP))
        scaled = graph.op("Div", graph.op("Sub", clipped, graph.const(scaler.mean_)), graph.const(scaler.scale_))
        inner = graph.op("Tanh", _layer(graph, scaled, network, 0))
        return graph.op("Sub", scaled, _layer(graph, inner, network, 1))

    return Build(lambda alarm: framed(fitted, times, alarm, unexplained), LEAST_THRESHOLD * LEAST_SHARE)


def _layer(graph: Graph, value: str, network: MLPRegressor, number: int) -> str:
    """By hand: skl2onnx takes a network of many outputs for one of one."""
    product = graph.op("MatMul", value, graph.const(network.coefs_[number]))
    return graph.op("Add", product, graph.const(network.intercepts_[number]))
