"""What deviations say together: the numbers that general learners of attacks are given, few and alike on every node.

In: z [R, H, F]. Out: `evidence` [R, E], the same in numpy, for training, and in a graph. How strongly a workload
shows an attack in a feature is its own; so these learners see no feature by itself. For each half-life they see the
`TOP` largest harmful deviations, in order, whichever they are; the mean of all, clipped at `MEAN_CLIP`; and the
*pull*, a weighted sum whose weights labels gave: a logistic regression without negative weights on harmful
deviations, so that no accident of a recording can make a node's disk space a sign of calm. Last comes the sum of the
pulls.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

from models.detectors.deviations import CLIP, HALF_LIVES_SECONDS, Prior
from models.graph import Graph
from receiver.columns import Bool, Float32, Float64

TOP = 4
MEAN_CLIP = 3.0
# A deviation in the harmless direction speaks against an attack, but not much.
HARMLESS_CLIP = 2.0
# Of the squared weights, in the loss of a row.
RIDGE = 0.003
MAX_ITERATIONS = 200
# Of the mean weight, what a feature is worth at least when features are named: labels do not show all attacks.
LEAST_WORTH = 0.1


@dataclass(frozen=True, slots=True)
class Pull:
    """The logistic regression: log-odds are Σ weight · harm + bias."""

    weight: Float64  # [H, F] ≥ 0
    bias: float


def harm(z: Float32, direction: Float64) -> Float32:
    """Deviations with their sign such that more is more harmful; its size where both directions are."""
    return np.where(direction == 0, np.abs(z), z * direction).astype(np.float32)


def pull(z: Float32, direction: Float64, attack: Bool) -> Pull:
    """Fit the weights to labelled z [R, H, F]."""
    _, lengths, features = z.shape
    inputs = np.clip(harm(z, direction), -HARMLESS_CLIP, CLIP).reshape(len(z), -1).astype(np.float64)
    target = attack.astype(np.float64)

    def loss(parameters: Float64) -> tuple[float, Float64]:
        weight, bias = parameters[:-1], parameters[-1]
        odds = inputs @ weight + bias
        wrong = 1 / (1 + np.exp(-odds)) - target
        value = float((np.logaddexp(0, odds) - target * odds).mean()) + RIDGE * float(weight @ weight)
        gradient = inputs.T @ wrong / len(inputs) + 2 * RIDGE * weight
        return value, np.append(gradient, wrong.mean())

    size = inputs.shape[1]
    bounds = [(0.0, None)] * size + [(None, None)]
    found = minimize(
        loss, np.zeros(size + 1), jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": MAX_ITERATIONS}
    )
    return Pull(found.x[:-1].reshape(lengths, features), float(found.x[-1]))


def worth(weight: Float64) -> Float64:
    """How much each deviation says of attacks [H, F], by what weight it has, the most being 1; none says nothing."""
    floored = weight + LEAST_WORTH * weight.mean()
    most = floored.max()
    return floored / most if most > 0 else np.ones_like(floored)


def width(features: int) -> int:
    """How many numbers of evidence so many features give."""
    return len(HALF_LIVES_SECONDS) * (min(TOP, features) + 2) + 1


def evidence(z: Float32, prior: Prior, pulled: Pull) -> Float32:
    """[R, E] of z [R, H, F], as `write` does it."""
    signed = harm(z, prior.direction)
    harmful = np.clip(signed, 0, CLIP)
    top = -np.sort(-harmful, axis=2)[:, :, : min(TOP, z.shape[2])]
    pulls = (np.clip(signed, -HARMLESS_CLIP, CLIP) * pulled.weight.astype(np.float32)).sum(axis=2)
    parts: list[NDArray[np.float32]] = [
        top.reshape(len(z), -1),
        np.minimum(harmful, MEAN_CLIP).mean(axis=2),
        pulls,
        pulls.sum(axis=1, keepdims=True) + np.float32(pulled.bias),
    ]
    return np.concatenate(parts, axis=1).astype(np.float32)


def write(graph: Graph, z: str, prior: Prior, pulled: Pull) -> str:
    """[N, E] of z [N, H, F], as `evidence` does it."""
    top_of_each = min(TOP, len(prior.names))
    signed = _signed(graph, z, prior.direction)
    harmful = graph.op("Clip", signed, graph.const(0), graph.const(CLIP))
    top = graph.largest(harmful, top_of_each, axis=2)
    flat = graph.op("Reshape", top, graph.const([-1, len(HALF_LIVES_SECONDS) * top_of_each], np.int64))
    axis = graph.const([2], np.int64)
    mean = graph.op("ReduceMean", graph.op("Min", harmful, graph.const(MEAN_CLIP)), axis, keepdims=0)
    clipped = graph.op("Clip", signed, graph.const(-HARMLESS_CLIP), graph.const(CLIP))
    pulls = graph.op("ReduceSum", graph.op("Mul", clipped, graph.const(pulled.weight)), axis, keepdims=0)
    total = graph.op("ReduceSum", pulls, graph.const([1], np.int64), keepdims=1)
    return graph.op("Concat", flat, mean, pulls, graph.op("Add", total, graph.const(pulled.bias)), axis=1)


def contribution(graph: Graph, told: str, score: str) -> str:
    """The score [N, 1] shared out among features by the squares of what is `told` of them [N, H, F]: [N, F]."""
    mean = graph.op("ReduceMean", told, graph.const([1], np.int64), keepdims=0)
    square = graph.op("Mul", mean, mean)
    total = graph.op("ReduceSum", square, graph.const([1], np.int64), keepdims=1)
    return graph.op("Mul", square, graph.op("Div", score, graph.op("Max", total, graph.const(1e-6))))


def write_harmful(graph: Graph, z: str, direction: Float64, weight: Float64 | float = 1.0) -> str:
    """`harm` of z [N, H, F] as far as it is harmful, ≥ 0, times a weight ≥ 0."""
    return _bent(graph, graph.op("Mul", z, graph.const(_sign(direction) * weight)), np.where(direction == 0, -1, 0))


def _signed(graph: Graph, z: str, direction: Float64) -> str:
    """`harm` of z [N, H, F]."""
    return _bent(graph, graph.op("Mul", z, graph.const(_sign(direction))), np.where(direction == 0, -1, 1))


def _sign(direction: Float64) -> Float64:
    return np.where(direction == 0, 1.0, direction)


def _bent(graph: Graph, tensor: str, slope: ArrayLike) -> str:
    """What is below 0 times a slope."""
    return graph.op("PRelu", tensor, graph.const(slope))
