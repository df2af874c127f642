"""What a node usually does at this time of its day: a part of its baseline, recurrently.

    time of day ─▶ mean deviation from the level at that hour, on the days before = usual [N, 1, F]
    value − usual ─▶ the rest of the baseline;   value − level ─▶ what this visit of the hour teaches

In: a `Graph` under construction, the value of each feature, and a part of the state. Out: what is usual, to be taken
off the value, and what makes the next state. Costs (HOURS + ROWS) · F + HOURS + 2 floats of state a node.

The day is the node's own: it begins with the node's first row, since a graph knows no clock. An hour's mean is learnt
when the hour is left, from what was watched of it, and only if that was `LEAST_VISIT` of it: an hour that is
under way says nothing of itself, or an attack would be its own excuse. After d days an hour's mean counts d / (d + 1),
and a new day weighs 1 / d, or 1 / `DAYS` at least: seasons change. Between the middles of two hours, both count in
proportion. The state has means times what they count.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import onnx

from models.following import Event, Following
from models.graph import Graph
from receiver.columns import Float32

HOURS = 24
HOUR_SECONDS = 3600.0
# Rows of F numbers that a visit of an hour is watched by.
ROWS = 2
# A visit of an hour in which a feature was watched for less of it, or stood still for the rest, is left out.
LEAST_VISIT = 0.25
# A day never weighs less than one of so many.
DAYS = 6.0


@dataclass(frozen=True, slots=True)
class Visit:
    """What was watched of this hour so far: names of tensors [N, 1, F]."""

    sum: str  # of deviations from the level, each times the seconds for which it is learnt
    seconds: str


@dataclass(frozen=True, slots=True)
class Season:
    """Of a row, before it is learnt."""

    usual: str  # [N, 1, F] to be taken off the value
    following: Following  # of the columns
    begun: Callable[[Graph], Visit]  # of the hour that the row belongs to: nothing, where another one ended


def size(features: int) -> int:
    """Columns of state: means by hour, days by hour, the hour, seconds since it began."""
    return HOURS * features + HOURS + 2


def initial_state(features: int) -> Float32:
    """[size(F)]."""
    return np.zeros(size(features), np.float32)


def observe(graph: Graph, features: int, state: str, start: int, visit: Visit) -> Season:
    """Write the season into a graph, over a state [N, S] with its columns from `start` on, and what a visit has."""
    edges = np.cumsum([start, HOURS * features, HOURS, 1, 1]).tolist()
    means, days, hour, since = (graph.columns(state, a, b) for a, b in pairwise(edges))
    since = graph.op("Add", since, graph.op("Unsqueeze", "elapsed_seconds", graph.const([1], np.int64)))

    def any_columns(branch: Graph) -> tuple[str, ...]:
        whole = branch.op("Floor", branch.op("Div", since, branch.const(HOUR_SECONDS)))
        return (
            *_learnt(branch, features, means, days, hour, _ended(branch, since), visit),
            branch.op("Mod", branch.op("Add", hour, whole), branch.const(HOURS), fmod=1),
            branch.op("Mod", since, branch.const(HOUR_SECONDS), fmod=1),
        )

    def begun(branch: Graph) -> Visit:
        ended = branch.op("Unsqueeze", _ended(branch, since), branch.const([1], np.int64))
        return Visit(*(branch.op("Where", ended, branch.const(0), part) for part in (visit.sum, visit.seconds)))

    return Season(
        _usual(graph, features, means, hour, since),
        Following(lambda _: (means, days, hour, since), any_columns, (Event(since, HOUR_SECONDS),)),
        begun,
    )


def _usual(graph: Graph, features: int, means: str, hour: str, since: str) -> str:
    """The means of the two hours whose middles are nearest, as near as they are [N, 1, F]."""
    time = graph.op("Add", hour, graph.op("Div", since, graph.const(HOUR_SECONDS)))
    time = graph.op("Mod", time, graph.const(HOURS), fmod=1)
    apart = graph.op("Abs", graph.op("Sub", time, graph.const(np.arange(HOURS)[None] + 0.5)))
    # What is more than half a day apart is nearer the other way round.
    near = graph.op("Abs", graph.op("Sub", apart, graph.const(HOURS / 2)))
    share = graph.op("Relu", graph.op("Sub", near, graph.const(HOURS / 2 - 1)))
    return graph.op(
        "MatMul",
        graph.op("Unsqueeze", share, graph.const([1], np.int64)),
        graph.op("Reshape", means, graph.const([-1, HOURS, features], np.int64)),
    )


def _ended(graph: Graph, since: str) -> str:
    return graph.op("GreaterOrEqual", since, graph.const(HOUR_SECONDS))


def _learnt(graph: Graph, features: int, means: str, days: str, hour: str, ended: str, visit: Visit) -> tuple[str, str]:
    """Means and days after the visit, where it `ended` [N, 1]."""
    one = graph.const(1)
    sum_, seconds = (graph.op("Squeeze", part, graph.const([1], np.int64)) for part in (visit.sum, visit.seconds))
    number = graph.op("Cast", hour, to=onnx.TensorProto.INT64)
    columns = graph.const(np.arange(features)[None], np.int64)
    cells = graph.op("Add", graph.op("Mul", number, graph.const(features, np.int64)), columns)
    known = graph.op("GatherElements", days, number, axis=1)
    counted = graph.op("GatherElements", means, cells, axis=1)

    told = graph.op("And", ended, graph.op("Less", graph.const(LEAST_VISIT * HOUR_SECONDS), seconds))
    after = graph.op("ReduceMax", graph.op("Cast", told, to=onnx.TensorProto.FLOAT), graph.const([1], np.int64))
    after = graph.op("Min", graph.op("Add", known, after), graph.const(DAYS))
    more = graph.op("Add", known, one)
    mean = graph.op("Mul", counted, graph.op("Div", more, graph.op("Max", known, one)))
    today = graph.op("Div", sum_, graph.op("Max", seconds, one))
    gain = graph.op("Div", one, graph.op("Min", more, graph.const(DAYS)))
    mean = graph.op("Add", mean, graph.op("Mul", gain, graph.op("Sub", today, mean)))
    recounted = graph.op("Mul", mean, graph.op("Div", after, graph.op("Add", after, one)))
    return (
        graph.op("ScatterElements", means, cells, graph.op("Where", told, recounted, counted), axis=1),
        graph.op("ScatterElements", days, number, after, axis=1),
    )
