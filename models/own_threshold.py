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
from models.following import Event, Following
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
# A threshold glides in steps of so much quiet time: what a row takes off would be lost in a float's rounding.
STEADY_SECONDS = 600.0
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
    """What a graph has of a row."""

    score: str  # [N, 1]
    following: tuple[Following, ...]  # none, or one


def initial_state(alarm: Alarm) -> Float32:
    """[S]: threshold, seconds that count towards its next change, whether in a pause, which last rows were over.

    Nothing where the threshold is everyone's.
    """
    return np.array([] if alarm.own is None else [alarm.level, *[0] * (FLOATS - 1)], np.float32)


def judge(graph: Graph, measure: str, alarm: Alarm, start: int) -> Judged:
    """Write the score, and what follows it in a state whose columns from `start` on are `initial_state`."""
    own = alarm.own
    if own is None:
        return Judged(graph.op("Div", measure, graph.const(alarm.level)), ())
    level, counted, pause, *before = (graph.columns("state", start + at, start + at + 1) for at in range(FLOATS))
    score = graph.op("Div", measure, level)
    seconds = graph.op("Clip", "elapsed_seconds", graph.const(0), graph.const(MAX_GAP_SECONDS))
    later = graph.op("Add", counted, graph.op("Unsqueeze", seconds, graph.const([1], np.int64)))
    change = STEADY_SECONDS
    whole = max(MERGE_SECONDS, PAUSE * SECONDS_PER_DAY / own.alerts_per_node_day)

    def any_columns(branch: Graph) -> tuple[str, ...]:
        zero, one = branch.const(0), branch.const(1)
        over = branch.op("Cast", branch.op("Greater", score, one), to=onnx.TensorProto.FLOAT)
        raised = branch.op("GreaterOrEqual", branch.op("Sum", over, *before), branch.const(OVER_ROWS))
        due = branch.op("GreaterOrEqual", later, branch.const(change))
        pausing = branch.op("Equal", pause, one)
        # In an alert what is left of a pause stands.
        stood = branch.op("Where", pausing, counted, branch.const(change - whole))
        counted_after = branch.op("Where", raised, stood, branch.op("Where", due, zero, later))
        pause_after = branch.op("Where", raised, one, branch.op("Where", due, zero, pause))

        glide = branch.const(-own.step * own.alerts_per_node_day / SECONDS_PER_DAY)
        lower = branch.op("Mul", level, branch.op("Exp", branch.op("Mul", later, glide)))
        lower = branch.op("Max", lower, branch.const(own.lowest * alarm.level))
        higher = branch.op("Mul", level, branch.const(np.exp(own.step)))
        higher = branch.op("Min", higher, branch.const(own.highest * alarm.level))
        taught = branch.op("Where", branch.op("And", due, branch.op("Not", raised)), higher, level)
        watched = branch.op("Where", branch.op("Or", due, raised), lower, level)
        return branch.op("Where", pausing, taught, watched), counted_after, pause_after, over, *before[:-1]

    events = Event(score, 1.0), Event(later, change), *(Event(over, 1.0) for over in before)
    return Judged(score, (Following(lambda _: (level, later, pause, *before), any_columns, events),))
