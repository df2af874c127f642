"""What a small neural network cannot rebuild of normal deviations: the papers' network, unsupervised.

As `pca`, with curves instead of planes: features that move together on a node that works are known together.
"""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler

from models.detectors import unlabelled
from models.detectors.build import Build
from models.detectors.deviations import Prior
from models.detectors.pca import LEAST_THRESHOLD
from models.detectors.unlabelled import Measure
from models.graph import Graph
from models.table import Table
from receiver.columns import Float32

# Of the features, so many numbers must say all: a third.
BOTTLENECK_SHARE = 1 / 3
MAX_EPOCHS = 30
# Rows it is fitted to, evenly taken: more teach a network of this size nothing.
MAX_ROWS = 20_000
# Deviations that hardly ever differ from 0 are not blown up by more than four.
MIN_SCALE = 0.25
SEED = 0


def fit(rows: Table) -> Build:
    """A network that rebuilds what normal rows deviate by."""
    return unlabelled.fit(rows, measure, LEAST_THRESHOLD)


def measure(prior: Prior, harmful: Float32) -> Measure:
    """The mean square of what the network does not rebuild, of averages over ten seconds."""
    usual = harmful[:, unlabelled.TEN_SECONDS]
    scaler = StandardScaler().fit(usual)
    scaler.scale_ = np.maximum(scaler.scale_, MIN_SCALE)
    some = scaler.transform(usual[:: max(1, len(usual) // MAX_ROWS)]).astype(np.float32)
    width = some.shape[1]
    hidden = max(1, round(width * BOTTLENECK_SHARE))
    network = MLPRegressor(hidden_layer_sizes=(hidden,), activation="tanh", max_iter=MAX_EPOCHS, random_state=SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is meant to stop early
        network.fit(some, some if width > 1 else some[:, 0])

    def write(graph: Graph, harmful: str) -> str:
        known = unlabelled.ten_seconds(graph, harmful)
        scaled = graph.op("Div", graph.op("Sub", known, graph.const(scaler.mean_)), graph.const(scaler.scale_))
        inner = graph.op("Tanh", _layer(graph, scaled, network, 0))
        left = graph.op("Sub", scaled, _layer(graph, inner, network, 1))
        return graph.op("MatMul", graph.op("Mul", left, left), graph.const(unlabelled.mean(prior)))

    return write


def _layer(graph: Graph, value: str, network: MLPRegressor, number: int) -> str:
    """By hand: skl2onnx takes a network of many outputs for one of one."""
    product = graph.op("MatMul", value, graph.const(network.coefs_[number]))
    return graph.op("Add", product, graph.const(network.intercepts_[number]))
