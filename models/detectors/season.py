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
# After a longer gap nobody knows what hour it is, by a clock that keeps to float32.
LONGEST_GAP_SECONDS = 1e7
# A visit of an hour that was watched for less of it, or stood still for the rest, is left out.
LEAST_VISIT = 0.25
# A day never weighs less than one of so many.
DAYS = 6.0


@dataclass(frozen=True, slots=True)
class Season:
    """Names of tensors of a graph."""

    usual: str  # [N, F] to be taken off the value
    # From the value's deviation from the level and the seconds for which it is learnt [N, F]: the parts of the state
    # after the row, [N, size(F)] side by side.
    next_state: Callable[[str, str], tuple[str, ...]]


def size(features: int) -> int:
    """Floats of state."""
    return (HOURS + 1) * features + HOURS + 2


def initial_state(features: int) -> Float32:
    """[size(F)]: means by hour, mean of this visit, days by hour, seconds of this visit, phase."""
    return np.zeros(size(features), np.float32)


def observe(graph: Graph, features: int, state: str, start: int, elapsed_seconds: str) -> Season:
    """Write the season into a graph, over a state that has it from column `start` on, and seconds since the last row.

    `state` is [N, S], `elapsed_seconds` [N, 1].
    """
    edges = np.cumsum([start, HOURS * features, features, HOURS, 1, 1]).tolist()
    means, visit, days, visited, phase = (graph.columns(state, a, b) for a, b in pairwise(edges))
    gap = graph.op("Clip", elapsed_seconds, graph.const(0), graph.const(LONGEST_GAP_SECONDS))
    later = graph.op("Add", phase, gap)
    now = graph.op("Sub", later, graph.op("Mul", _whole(graph, later, DAY_SECONDS), graph.const(DAY_SECONDS)))

    # Between the middles of two hours both count, 1 together.
    place = graph.op("Sub", graph.op("Div", now, graph.const(HOUR_SECONDS)), graph.const(0.5))
    first = graph.op("Floor", place)
    share = graph.op("Sub", place, first)
    first = _of_day(graph, first)
    second = _of_day(graph, graph.op("Add", first, graph.const(1)))
    usual = graph.op(
        "Add",
        _told(graph, means, days, first, features, graph.op("Sub", graph.const(1), share)),
        _told(graph, means, days, second, features, share),
    )

    # The hour that was left is learnt.
    before = _of_day(graph, _whole(graph, phase, HOUR_SECONDS))
    hour = graph.op("Cast", before, to=onnx.TensorProto.INT64)
    there = _cells(graph, hour, features)
    left = graph.op(
        "Or",
        graph.op("Not", graph.op("Equal", before, _of_day(graph, _whole(graph, now, HOUR_SECONDS)))),
        graph.op("Less", graph.const(HOUR_SECONDS), elapsed_seconds),
    )
    enough = graph.op("Less", graph.const(LEAST_VISIT * HOUR_SECONDS), visited)
    told = _float(graph, graph.op("And", left, enough))
    known = graph.op("GatherElements", days, hour, axis=1)
    gain = graph.op("Div", told, graph.op("Min", graph.op("Add", known, graph.const(1)), graph.const(DAYS)))
    mean = graph.op("GatherElements", means, there, axis=1)
    mean = graph.op("Add", mean, graph.op("Mul", gain, graph.op("Sub", visit, mean)))
    means = graph.op("ScatterElements", means, there, mean, axis=1)
    known = graph.op("Min", graph.op("Add", known, told), graph.const(DAYS))
    days = graph.op("ScatterElements", days, hour, known, axis=1)
    stays = graph.op("Sub", graph.const(1), _float(graph, left))
    visit, visited = graph.op("Mul", visit, stays), graph.op("Mul", visited, stays)

    def next_state(deviation: str, seconds: str) -> tuple[str, ...]:
        row_seconds = graph.op("ReduceMax", seconds, graph.const([1], np.int64), keepdims=1)
        part = graph.op("Div", seconds, graph.op("Max", graph.op("Add", visited, seconds), graph.const(1e-3)))
        mean = graph.op("Add", visit, graph.op("Mul", part, graph.op("Sub", deviation, visit)))
        return means, mean, days, graph.op("Add", visited, row_seconds), now

    return Season(usual, next_state)


def _told(graph: Graph, means: str, days: str, hour: str, features: int, share: str) -> str:
    """An hour's part of what is usual [N, F]: its mean, as far as days have shown it."""
    number = graph.op("Cast", hour, to=onnx.TensorProto.INT64)
    known = graph.op("GatherElements", days, number, axis=1)
    trust = graph.op("Mul", share, graph.op("Div", known, graph.op("Add", known, graph.const(1))))
    return graph.op("Mul", trust, graph.op("GatherElements", means, _cells(graph, number, features), axis=1))


def _cells(graph: Graph, hour: str, features: int) -> str:
    """Where an hour's means are [N, F]."""
    columns = graph.const(np.arange(features)[None], np.int64)
    return graph.op("Add", graph.op("Mul", hour, graph.const(features, np.int64)), columns)


def _of_day(graph: Graph, hour: str) -> str:
    """The hour of a day that a whole number of hours is, one before the first included."""
    return graph.op("Sub", hour, graph.op("Mul", _whole(graph, hour, HOURS), graph.const(HOURS)))


def _whole(graph: Graph, value: str, unit: float) -> str:
    return graph.op("Floor", graph.op("Div", value, graph.const(unit)))


def _float(graph: Graph, condition: str) -> str:
    return graph.op("Cast", condition, to=onnx.TensorProto.FLOAT)
