"""What a node usually does at this time of its day: a part of its baseline, recurrently.

    phase ─▶ where in the day ─▶ mean deviation from the level at that hour, on the days before = season [N, F]
    value − season ─▶ the rest of the baseline;   value − level ─▶ what this visit of the hour teaches

In: a `Graph` under construction, the value of each feature, and a part of the state. Out: the season to take off, and
what makes the next state. Costs (HOURS + 1) · F + HOURS + 2 floats of state a node.

The day is the node's own: `phase` counts from its first row, since a graph knows no clock. An hour's mean is learnt
when the hour is left, from what was watched of it, and only if that was `LEAST_VISIT` of it: an hour that is
under way says nothing of itself, or an attack would be its own excuse. After d days an hour's mean counts d / (d + 1),
and a new day weighs 1 / d, or 1 / `DAYS` at least: seasons change. Between the middles of two hours, both count in
proportion.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import onnx

from models.graph import Graph
from receiver.columns import Float32

HOURS = 24
DAY_SECONDS = 86400.0
HOUR_SECONDS = DAY_SECONDS / HOURS
# A visit of an hour that was watched for less of it, or stood still for the rest, is left out.
LEAST_VISIT = 0.25
# A day never weighs less than one of so many.
DAYS = 6.0


@dataclass(frozen=True, slots=True)
class Season:
    """Names of tensors of a graph."""

    usual: str  # [N, F] to be taken off the value
    # From the value's deviation from the level and the seconds for which it is learnt [N, F]: the state after the row.
    next_state: Callable[[str, str], str]


def size(features: int) -> int:
    """Floats of state."""
    return (HOURS + 1) * features + HOURS + 2


def initial_state(features: int) -> Float32:
    """[size(F)]: means by hour, mean of this visit, days by hour, seconds of this visit, phase."""
    return np.zeros(size(features), np.float32)


def observe(graph: Graph, features: int, state: str, elapsed_seconds: str) -> Season:
    """Write the season into a graph, over its state [N, size(F)] and seconds since the last row [N, 1]."""
    edges = np.cumsum([0, HOURS * features, features, HOURS, 1, 1]).tolist()
    flat, visit, days, visited, phase = (graph.columns(state, a, b) for a, b in pairwise(edges))
    means = graph.op("Reshape", flat, graph.const([-1, HOURS, features], np.int64))
    later = graph.op("Add", phase, elapsed_seconds)
    now = graph.op("Sub", later, graph.op("Mul", _whole(graph, later, DAY_SECONDS), graph.const(DAY_SECONDS)))

    # How near each hour's middle is: two of them, or one, count, 1 together.
    position = graph.op("Div", now, graph.const(HOUR_SECONDS))
    away = graph.op("Abs", graph.op("Sub", position, graph.const(np.arange(HOURS)[None] + 0.5)))
    around = graph.op("Min", away, graph.op("Sub", graph.const(HOURS), away))
    near = graph.op("Relu", graph.op("Sub", graph.const(1), around))
    trust = graph.op("Mul", near, graph.op("Div", days, graph.op("Add", days, graph.const(1))))
    one = graph.const([1], np.int64)
    usual = graph.op("Squeeze", graph.op("MatMul", graph.op("Unsqueeze", trust, one), means), one)

    # The hour that was left is learnt.
    before = _whole(graph, phase, HOUR_SECONDS)
    left = graph.op(
        "Or",
        graph.op("Not", graph.op("Equal", before, _whole(graph, now, HOUR_SECONDS))),
        graph.op("Less", graph.const(HOUR_SECONDS), elapsed_seconds),
    )
    enough = graph.op("Less", graph.const(LEAST_VISIT * HOUR_SECONDS), visited)
    told = _float(graph, graph.op("And", left, enough))
    which = _float(graph, graph.op("Equal", before, graph.const(np.arange(HOURS)[None])))
    lesson = graph.op("Mul", which, told)
    gain = graph.op("Div", lesson, graph.op("Min", graph.op("Add", days, graph.const(1)), graph.const(DAYS)))
    moved = graph.op("Sub", graph.op("Unsqueeze", visit, one), means)
    moved = graph.op("Mul", graph.op("Unsqueeze", gain, graph.const([2], np.int64)), moved)
    means = graph.op("Reshape", graph.op("Add", means, moved), graph.const([-1, HOURS * features], np.int64))
    days = graph.op("Min", graph.op("Add", days, lesson), graph.const(DAYS))
    stays = graph.op("Sub", graph.const(1), _float(graph, left))
    visit, visited = graph.op("Mul", visit, stays), graph.op("Mul", visited, stays)

    def next_state(deviation: str, seconds: str) -> str:
        row_seconds = graph.op("ReduceMax", seconds, one, keepdims=1)
        part = graph.op("Div", seconds, graph.op("Max", graph.op("Add", visited, seconds), graph.const(1e-3)))
        mean = graph.op("Add", visit, graph.op("Mul", part, graph.op("Sub", deviation, visit)))
        return graph.op("Concat", means, mean, days, graph.op("Add", visited, row_seconds), now, axis=1)

    return Season(usual, next_state)


def _whole(graph: Graph, value: str, unit: float) -> str:
    return graph.op("Floor", graph.op("Div", value, graph.const(unit)))


def _float(graph: Graph, condition: str) -> str:
    return graph.op("Cast", condition, to=onnx.TensorProto.FLOAT)
