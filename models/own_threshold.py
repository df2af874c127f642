"""Measure → score, 1.0 being a threshold that follows each node's own false alerts.

    measure ÷ (the population's threshold · factor) = score;   an alert raises the node's factor by a step,
    time without alerts lowers it: both balance at the budget, however lively or calm the node is

In: a graph under construction, the name of a measure [N, 1], ≥ 0, and an `Alarm`. Out: names of the score and of the
state that follows. Costs five floats of state a node where thresholds are nodes' own, nothing where not.

This is stochastic approximation of a rate (Robbins and Monro 1951), with a step that does not shrink, so that it
follows a node that changes (Gibbs and Candès 2021, "Adaptive conformal inference under distribution shift"): over D
days, alerts that taught − budget · D quiet days = (change of the log factor) ÷ step, whatever the measure's
distribution is. Nothing of a node's tail needs to be known, only how steep tails usually are, for the step.

No attack brings the threshold far. An alert (2 of 3 rows) teaches once, however high and long it is, and only when
it and a `PAUSE` after it are over, a part of the mean time between alerts asked for: alerts in that time teach nothing.
So no alert is cut short by what it taught. The factor stays within `LOWEST_FACTOR` and `HIGHEST_FACTOR`, and begins
with 1: the population's threshold holds until the node has shown otherwise; at a budget of 0.5 a day that takes days.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx

from models.alerts import MERGE_SECONDS
from models.graph import Graph
from models.threshold import MAX_GAP_SECONDS, SECONDS_PER_DAY
from receiver.alerts import OF_ROWS, OVER_ROWS
from receiver.columns import Float32

# A step, in units of that which makes alerts e times as rare by the population's tail. Smaller ones take more alerts
# to learn a node, greater ones let the rate swing.
STEP = 0.5
# Of the mean time between alerts asked for: a day of attacks must not teach what a month of quiet does.
PAUSE = 0.25
# The liveliest of the nodes tuned on comes to within three times the budget at 5, not at 3; what lies beyond is a node
# out of order, or under attack day after day. Below a third the first stir of a node that was calm for weeks alarms.
LOWEST_FACTOR, HIGHEST_FACTOR = 1 / 3, 5.0
# Of a node's state.
FLOATS = 3 + OF_ROWS - 1
# At a level like this no score alarms: baselines learn every row.
NEVER_ALARMS = 1e30


@dataclass(frozen=True, slots=True)
class Own:
    """How a node's threshold moves."""

    alerts_per_node_day: float  # the budget
    step: float  # of the factor's logarithm, an alert
    lowest: float  # factor, ≤ 1
    highest: float  # factor, ≥ 1


def around(level: float, least: float, most: float | None, alerts_per_node_day: float, log_scale: float) -> Own:
    """Around a `level` found for a budget, in a measure that means nothing below `least` nor needs more than `most`.

    A threshold higher by `log_scale`, as a logarithm, is passed e times as rarely.
    """
    lowest = min(1.0, max(LOWEST_FACTOR, least / level))
    highest = HIGHEST_FACTOR if most is None else min(HIGHEST_FACTOR, max(1.0, most / level))
    return Own(alerts_per_node_day, STEP * log_scale, lowest, highest)


@dataclass(frozen=True, slots=True)
class Alarm:
    """What 1.0 is: a level of the measure, for all nodes where `own` is None."""

    level: float  # > 0
    own: Own | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """Names of tensors of a graph."""

    score: str  # [N, 1]
    next_state: tuple[str, ...]  # none, or one [N, S]


def initial_state(alarm: Alarm) -> Float32:
    """[S]: log factor after the last lesson, quiet seconds since, seconds of pause left, which last rows were over."""
    return np.zeros(0 if alarm.own is None else FLOATS, np.float32)


def judge(graph: Graph, measure: str, alarm: Alarm, start: int) -> Judged:
    """Write the score, and what follows it in a state whose columns from `start` on are `initial_state`."""
    own = alarm.own
    if own is None:
        return Judged(graph.op("Div", measure, graph.const(alarm.level)), ())
    kept, quiet, pause, *before = (
        graph.columns("state", start + column, start + column + 1) for column in range(FLOATS)
    )
    # From what it was after the last alert: what a row alone takes off would be lost in a float's rounding.
    glide = graph.op("Mul", quiet, graph.const(own.step * own.alerts_per_node_day / SECONDS_PER_DAY))
    factor = graph.op("Max", graph.op("Sub", kept, glide), graph.const(np.log(own.lowest)))
    score = graph.op("Div", measure, graph.op("Mul", graph.op("Exp", factor), graph.const(alarm.level)))

    over = graph.op("Cast", graph.op("Greater", score, graph.const(1)), to=onnx.TensorProto.FLOAT)
    raised = graph.op("GreaterOrEqual", graph.op("Sum", over, *before), graph.const(OVER_ROWS))
    seconds = graph.op("Clip", "elapsed_seconds", graph.const(0), graph.const(MAX_GAP_SECONDS))
    seconds = graph.op("Unsqueeze", seconds, graph.const([1], np.int64))
    watching = graph.op("Equal", pause, graph.const(0))
    whole = max(MERGE_SECONDS, PAUSE * SECONDS_PER_DAY / own.alerts_per_node_day)
    begun = graph.op("Where", watching, graph.const(whole), pause)
    left = graph.op("Where", raised, begun, graph.op("Relu", graph.op("Sub", pause, seconds)))
    teaches = graph.op("And", graph.op("Greater", pause, graph.const(0)), graph.op("Equal", left, graph.const(0)))
    higher = graph.op("Min", graph.op("Add", factor, graph.const(own.step)), graph.const(np.log(own.highest)))
    watched = graph.op("Add", quiet, graph.op("Where", watching, seconds, graph.const(0)))
    following = graph.op(
        "Concat",
        graph.op("Where", teaches, higher, kept),
        graph.op("Where", teaches, graph.const(0), watched),
        left,
        over,
        *before[:-1],
        axis=1,
    )
    return Judged(score, (following,))
