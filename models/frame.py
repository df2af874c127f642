"""The frame that every detector but the paper's stands in: one node's next row → its score, recurrently.

    x ─▶ smooth (3 s) ─▶ compress ─▶ deviation from the node's own baseline, in standard deviations
      ─▶ core (identity, or what PCA cannot rebuild) ─▶ harmful direction, clip, square ─▶ smooth (score)
      ─▶ mean over features ÷ threshold = score;  score ≤ 1 ─▶ the baseline learns

All of it is one ONNX graph, F floats each of five quantities being the state of a node, and what its own threshold
takes (`models.own_threshold`): training, evaluation and serving cannot differ. `Scales` (what training learnt of the
features) and `Times` are its parameters.

**Smooth**, with a half-life of `INPUT_HALF_LIFE_SECONDS` and before compressing, so that a burst of one second
weighs about the same in rows of 1 s and in rows of 10 s.

**Compress**: asinh(x / unit): linear below `unit`, logarithmic above, so that twice is twice on a machine of
2 CPUs and of 200.

**Baseline.** A node's level is believed to lie around the population's, `spread` away; its rows scatter around
its level by `scale`, and resemble each other for `RESEMBLANCE_SECONDS`. After a seconds of rows, the level is
the mean of the population's and its own, its own weighing a / (a + t0) with
t0 = RESEMBLANCE_SECONDS · scale² / spread², and its variance is spread² · t0 / (t0 + a) (the normal-normal
conjugate posterior). So the first row is scored against the population, which is wide, and within seconds to
minutes each row is scored against the node. With time the mean turns into an exponential one with
`Times.baseline_half_life_seconds`. The node's own variance grows from the population's (it never falls below: what
is constant on a node is not infinitely surprising when it moves) and is settled after `SETTLED_SECONDS`.

**Standing still.** Over 1.0 the baseline learns nothing, however long that lasts. A node that is new is not known
well enough for that, and what it learns weighs more: it learns fully in its first `INFANT_SECONDS` of rows; then,
until `ADULT_SECONDS`, 1 − score of each row, and `YOUNG_RATE` of it at least. At all times a deviation in the harmful
direction is learnt as one of `HUBER` standard deviations at most, and one in the harmless direction as it is: a node
that boots, pulls images and falls quiet finds its level at once.

**Missing.** A NaN neither moves a baseline nor counts as a deviation; its feature's part of the score fades.
A feature that training never saw has no scale and counts nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx

from models import own_threshold
from models.graph import Graph
from models.own_threshold import Alarm
from receiver.columns import Float32, Float64

# A row's part of the input average: what makes 1 s rows about as calm as 10 s rows.
INPUT_HALF_LIFE_SECONDS = 3.0
# How long the noise of a node resembles itself: its rows within that time are about one observation.
RESEMBLANCE_SECONDS = 60.0
# Rows of so much time weigh as much in a node's own variance as the population's does.
VARIANCE_PRIOR_SECONDS = 600.0
# After so much time of rows a node's variance is known and stands. What goes on below the threshold for days
# would widen it until nothing is over.
SETTLED_SECONDS = 86400.0
# A row speaks for the time since the one before, within these: a gap is no evidence.
MIN_ROW_SECONDS, MAX_ROW_SECONDS = 1.0, 300.0
INFANT_SECONDS, ADULT_SECONDS, YOUNG_RATE = 60.0, 3600.0, 0.1
# Where a harmful deviation stops to teach more: 3 σ keeps 99.7 % of normal rows whole.
HUBER = 3.0
# Where a deviation stops to count more: one feature alone cannot hold a score up for long after it has calmed.
CLIP = 30.0
# Units that anything can measure: asinh of it is 21. A higher value would take longer to fade.
MAX_UNITS = 1e9

Core = Callable[[Graph, str], str]  # deviations [N, F] → deviations [N, F]


@dataclass(frozen=True, slots=True)
class Scales:
    """What training learnt of F features; `level`, `scale` and `spread` are of asinh(x / unit)."""

    names: tuple[str, ...]
    unit: Float64  # [F] > 0
    level: Float64  # [F] the population's
    scale: Float64  # [F] > 0, standard deviation of a node's rows around its own level
    spread: Float64  # [F] > 0, standard deviation of the nodes' levels
    direction: Float64  # [F] +1: only more is harmful, −1: only less is, 0: both are
    weight: Float64  # [F] in the mean over features; 0 where training never saw one


@dataclass(frozen=True, slots=True)
class Times:
    """How long things are remembered."""

    score_half_life_seconds: float
    baseline_half_life_seconds: float = 86400.0


def smoother(scales: Scales) -> onnx.ModelProto:
    """The frame's first two steps alone: `contribution` is the smoothed, compressed input; scales are fitted on it."""
    graph, features = Graph(), len(scales.names)
    smooth, seen = graph.columns("state", 0, features), graph.columns("state", features, 2 * features)
    smooth, present = _smooth_input(graph, scales, smooth, graph.op("Equal", seen, graph.const(0)))
    nothing = graph.op("ReduceSum", graph.op("Mul", smooth, graph.const(0)), graph.const([1], np.int64), keepdims=0)
    return graph.close(
        score=nothing,
        next_state=graph.op("Concat", smooth, graph.op("Max", seen, present), axis=1),
        contribution=graph.op("Asinh", smooth),
        features=scales.names,
        state=np.zeros(2 * features, np.float32),
    )


def framed(scales: Scales, times: Times, alarm: Alarm, core: Core, *, raw_deviations: bool = False) -> onnx.ModelProto:
    """The whole frame around `core`; 1.0 is the alarm. With `raw_deviations`, `contribution` is the core's input."""
    graph, features = Graph(), len(scales.names)
    smooth, level, variance, age, energy = (
        graph.columns("state", part * features, (part + 1) * features) for part in range(5)
    )
    smooth, present = _smooth_input(graph, scales, smooth, graph.op("Equal", age, graph.const(0)))

    # Deviation from the baseline, before this row is learnt.
    t0 = RESEMBLANCE_SECONDS * scales.scale**2 / scales.spread**2
    doubt = graph.op("Div", graph.const(scales.spread**2 * t0), graph.op("Add", age, graph.const(t0)))
    expected = graph.op("Add", variance, doubt)
    deviation = graph.op("Mul", graph.op("Sub", graph.op("Asinh", smooth), level), present)
    standard = graph.op("Div", deviation, graph.op("Sqrt", expected))
    standard = graph.op("Mul", standard, graph.const(scales.weight > 0))

    # What it means: harmful, squared, smoothed, and what of the threshold it fills.
    harm = _harmful(graph, core(graph, standard), scales.direction)
    harm = graph.op("Mul", graph.op("Min", harm, graph.const(CLIP)), present)
    gain = _gain(graph, times.score_half_life_seconds)
    energy = _toward(graph, energy, graph.op("Mul", harm, harm), gain)
    part = graph.op("Mul", energy, graph.const(scales.weight / max(1.0, scales.weight.sum())))
    measure = graph.op("ReduceSum", part, graph.const([1], np.int64), keepdims=1)
    initial = initial_state(scales)
    judged = own_threshold.judge(graph, measure, alarm, len(initial))
    share = graph.op("Div", part, judged.threshold)

    # What is learnt of it.
    rate = graph.op("Mul", _learning_rate(graph, judged.score, age), present)
    seconds = graph.op("Clip", "elapsed_seconds", graph.const(MIN_ROW_SECONDS), graph.const(MAX_ROW_SECONDS))
    weight = graph.op("Mul", rate, _column(graph, seconds))
    older = graph.op("Add", age, graph.const(t0))
    lesson = _huber(graph, deviation, graph.op("Sqrt", expected), scales.direction)
    gain = graph.op("Div", weight, graph.op("Add", older, weight))
    level = graph.op("Add", level, graph.op("Mul", gain, lesson))
    square = graph.op("Min", graph.op("Mul", lesson, lesson), graph.op("Mul", expected, graph.const(HUBER**2)))
    older = graph.op("Add", age, graph.const(VARIANCE_PRIOR_SECONDS))
    unsettled = graph.op("Cast", graph.op("Less", age, graph.const(SETTLED_SECONDS)), to=onnx.TensorProto.FLOAT)
    gain = graph.op("Mul", unsettled, graph.op("Div", weight, graph.op("Add", older, weight)))
    variance = graph.op("Max", _toward(graph, variance, square, gain), graph.const(scales.scale**2))
    # Time in the mean is capped where a row's weight has become that of an exponential mean.
    age = graph.op("Min", graph.op("Add", age, weight), graph.const(times.baseline_half_life_seconds / np.log(2)))

    return graph.close(
        score=graph.op("Squeeze", judged.score, graph.const([1], np.int64)),
        next_state=graph.op("Concat", smooth, level, variance, age, energy, *judged.next_state, axis=1),
        contribution=standard if raw_deviations else share,
        features=scales.names,
        state=np.concatenate([initial, own_threshold.initial_state(alarm)]),
    )


def initial_state(scales: Scales) -> Float32:
    """[5F]: smoothed input, level, variance, seconds learnt, smoothed squares."""
    nothing = np.zeros_like(scales.level)
    return np.concatenate([nothing, scales.level, scales.scale**2, nothing, nothing]).astype(np.float32)


def _smooth_input(graph: Graph, scales: Scales, smooth: str, first: str) -> tuple[str, str]:
    """The trailing average of x / unit [N, F], unmoved where x is missing; and 1.0 where it is not missing."""
    missing = graph.op("IsNaN", "x")
    units = graph.op("Div", graph.op("Where", missing, graph.const(0), "x"), graph.const(scales.unit))
    units = graph.op("Clip", units, graph.const(-MAX_UNITS), graph.const(MAX_UNITS))
    present = graph.op("Cast", graph.op("Not", missing), to=onnx.TensorProto.FLOAT)
    gain = graph.op("Mul", _gain(graph, INPUT_HALF_LIFE_SECONDS), present)
    return graph.op("Where", first, units, _toward(graph, smooth, units, gain)), present


def _column(graph: Graph, vector: str) -> str:
    return graph.op("Unsqueeze", vector, graph.const([1], np.int64))


def _gain(graph: Graph, half_life_seconds: float) -> str:
    """1 − 2^(−elapsed / half-life), [N, 1]."""
    decay = graph.op("Exp", graph.op("Mul", "elapsed_seconds", graph.const(-np.log(2) / half_life_seconds)))
    return _column(graph, graph.op("Sub", graph.const(1), decay))


def _toward(graph: Graph, old: str, new: str, gain: str) -> str:
    return graph.op("Add", old, graph.op("Mul", gain, graph.op("Sub", new, old)))


def _harmful(graph: Graph, deviation: str, direction: Float64) -> str:
    """|deviation| where it is harmful, else 0."""
    up = graph.op("Mul", graph.op("Relu", deviation), graph.const(direction >= 0))
    down = graph.op("Mul", graph.op("Relu", graph.op("Neg", deviation)), graph.const(direction <= 0))
    return graph.op("Add", up, down)


def _huber(graph: Graph, deviation: str, sigma: str, direction: Float64) -> str:
    """The deviation, cut at HUBER sigma on its harmful sides."""
    limit = graph.op("Mul", sigma, graph.const(HUBER))
    no_limit = 4 * np.arcsinh(MAX_UNITS)
    above = graph.op("Max", limit, graph.const(np.where(direction >= 0, 0, no_limit)))
    below = graph.op("Max", limit, graph.const(np.where(direction <= 0, 0, no_limit)))
    return graph.op("Max", graph.op("Min", deviation, above), graph.op("Neg", below))


def _learning_rate(graph: Graph, score: str, age: str) -> str:
    """[N, F], by age: 1; 1 − score, at least YOUNG_RATE; 1, or 0 where the score is over 1.0."""
    young = graph.op("Max", graph.op("Sub", graph.const(1), score), graph.const(YOUNG_RATE))
    adult = graph.op("Cast", graph.op("LessOrEqual", score, graph.const(1)), to=onnx.TensorProto.FLOAT)
    grown = graph.op("Where", graph.op("Less", age, graph.const(ADULT_SECONDS)), young, adult)
    return graph.op("Where", graph.op("Less", age, graph.const(INFANT_SECONDS)), graph.const(1), grown)
