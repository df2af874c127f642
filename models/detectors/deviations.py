"""How a node deviates from itself, over times of several lengths: what the learning detectors look at, recurrently.

    x ─▶ compress ─▶ minus the season ─▶ trailing averages of several half-lives ─▶ minus the node's own level, in its
    own standard deviations, clipped = z [N, H, F];   where the caller says so, season, level and variance learn the row

In: normal rows, for a `Prior`; a `Graph` under construction, for `observe`. Out: the name of z, and what makes the
next state once the caller knows at which rate to learn. Costs H + 3 floats of state a feature, and the season's.

Whatever decides the rate decides what is normal: at rate 0 the baseline stands still, as long as that lasts. In
training the labels decide (`models.detectors.replay`), in service the detector's own score.

**Compress**: asinh(x / unit), linear below the unit and logarithmic above. **Season**: what is usual at this hour
(`models.detectors.season`). **Level**: the mean of a node's rows, turning with time into an exponential one; it begins
anew with a node's second row. A deviation beyond `HUBER` standard deviations teaches no more than that, and one in the
harmful direction weighs `HARMFUL_RATE` as much as a harmless one: the calm side is normal.
**Variance**: begins with the population's and cannot fall far below it.

All times are for rows of `ROW_SECONDS` and less; where rows are further apart, they are stretched alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import onnx
from scipy.signal import lfilter

from models import scales
from models.detectors import season
from models.detectors.season import Visit
from models.following import Following
from models.graph import Graph
from models.meaning import MEANINGS
from models.table import Table
from receiver.columns import Float32, Float64

ROW_SECONDS = 2.5
HALF_LIVES_SECONDS = (1.5, 4.0, 10.0, 30.0)
# A level is the mean of so much time, in the end: what comes back every day is the season's.
LEVEL_SECONDS = 125_000.0
# A node's variance is the population's until it has been seen for about so long.
VARIANCE_PRIOR_SECONDS = 3600.0
# Until a node is so old it learns everything: there is nothing to stand still on yet.
INFANT_SECONDS = 90.0
# From this age on single rows are not believed: before it, the level is hardly known.
TRUSTING_SECONDS = 30.0
# A row speaks for the time since the one before, within these: a gap is no evidence.
MIN_ROW_SECONDS, MAX_ROW_SECONDS = 1.0, 60.0
# A node's first row counts for next to nothing: recordings of rates begin with a row of zeros as often as not.
FIRST_ROW_SECONDS = 0.01
# The age of what was never seen: next to nothing, and nothing is divided by 0.
UNSEEN_SECONDS = 1e-6
# Units that anything can measure: asinh of it is 21. A higher value would take longer to fade.
MAX_UNITS = 1e9
HUBER = 3.0
HARMFUL_RATE = 0.5
# Where a deviation stops to count more: what is larger than this is an attack, and one feature alone can neither
# outweigh all others nor hold a score up for long after it has calmed.
CLIP = 10.0
# Of the population's variance, the least that a node can have.
LEAST_VARIANCE_SHARE = 0.03
# The least deviation of any feature (0.3 %), and of one whose meaning is known, as a part of what it goes up and down
# by on any machine: a calm recording does not show how machines live.
LEAST_DEVIATION, LEAST_OF_USUAL = 0.003, 0.2
# What is slower than this is drift, which a level follows, and not scatter around it.
DRIFT_HALF_LIFE_SECONDS = LEVEL_SECONDS * float(np.log(2))


@dataclass(frozen=True, slots=True)
class Prior:
    """What normal rows say of F features."""

    names: tuple[str, ...]
    unit: Float64  # [F] > 0
    variance: Float64  # [F] > 0, of the fastest average of asinh(x / unit) around its drift
    direction: Float64  # [F] +1: only more is harmful, −1: only less is, 0: both are
    seen: Float64  # [F] 1.0, or 0.0 where the feature says nothing: z is 0
    least: Float64  # [F] > 0, the variance below which no node's falls
    stretch: float  # all times are multiplied by it
    variance_seconds: float  # rows of so much time weigh as much in a node's variance as the population's does

    @property
    def half_lives(self) -> tuple[float, ...]:
        """In seconds, the shortest first."""
        return tuple(self.stretch * seconds for seconds in HALF_LIVES_SECONDS)

    def initial_state(self) -> Float32:
        """[(H + 3 + season.ROWS) F + season.size(F)]: averages, level, variance, seconds learnt; season."""
        nothing = np.zeros(len(self.names))
        own = [*[nothing] * (len(HALF_LIVES_SECONDS) + 1), self.variance, nothing + UNSEEN_SECONDS]
        visit = [nothing] * season.ROWS
        return np.concatenate([*own, *visit, season.initial_state(len(self.names))]).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Observed:
    """What a graph has of a row."""

    z: str  # [N, H, F]
    # From 1.0 where a row is to be learnt, 0.0 where not [N, 1].
    following: Callable[[str], tuple[Following, ...]]


def fit(normal: Table, variance_seconds: float = VARIANCE_PRIOR_SECONDS) -> Prior:
    """Units, variances and directions, by normal rows; each node weighs the same."""
    scale = scales.fit(normal)
    stretch = max(1.0, float(np.median(normal.row_seconds())) / ROW_SECONDS)
    order = np.lexsort((normal.time_ms, normal.node))
    cuts = np.flatnonzero(np.diff(normal.node[order])) + 1
    seconds = max(1e-3, float(np.median(normal.row_seconds())))
    variances = [_variance(normal.x[rows], scale.unit, seconds, stretch) for rows in np.split(order, cuts)]
    found = np.stack(variances)
    found[:, np.isnan(found).all(axis=0)] = 0
    usual = np.array([MEANINGS[name].scale if name in MEANINGS else 0.0 for name in scale.names])
    floor = np.maximum(LEAST_DEVIATION, LEAST_OF_USUAL * usual) ** 2
    variance = np.maximum(np.nanmean(found, axis=0), floor)
    least = np.maximum(LEAST_VARIANCE_SHARE * variance, floor)
    seen = (scale.weight > 0).astype(np.float64)
    return Prior(scale.names, scale.unit, variance, scale.direction, seen, least, stretch, variance_seconds)


def _variance(x: Float32, unit: Float64, seconds: float, stretch: float) -> Float64:
    """Of one node's rows in time order [R, F]: each feature's scatter around its drift, squared; NaN if never seen."""
    found = np.full(x.shape[1], np.nan)
    for feature in range(x.shape[1]):
        values = x[np.isfinite(x[:, feature]), feature]
        if len(values):
            values = np.arcsinh(np.clip(values / unit[feature], -MAX_UNITS, MAX_UNITS))
            fast = _trailing(values, seconds / (stretch * HALF_LIVES_SECONDS[0]))
            slow = _trailing(fast, seconds / DRIFT_HALF_LIFE_SECONDS, float(np.median(fast)))
            found[feature] = (fast - slow).var()
    return found


def _trailing(values: Float64, half_lives: float, start: float | None = None) -> Float64:
    """The exponential mean [R] where rows are so many half-lives apart."""
    keep = 2.0**-half_lives
    first = float(values[0]) if start is None else start
    averages: Float64 = lfilter([1 - keep], [1, -keep], values, zi=[keep * first])[0]
    return averages


def observe(graph: Graph, prior: Prior, x: str = "x", state: str = "state") -> Observed:
    """Write z, up to `CLIP`, and the learning of a baseline into a graph, over these tensors [N, F] and [N, S]."""
    features, lengths = len(prior.names), len(HALF_LIVES_SECONDS)
    rows = np.cumsum([0, lengths, 1, 1, 1, *[1] * season.ROWS]).tolist()
    cube = graph.op(
        "Reshape",
        graph.columns(state, 0, rows[-1] * features),
        graph.const([-1, rows[-1], features], np.int64),
    )
    kept, level, variance, age, *watched = (graph.columns(cube, a, b) for a, b in pairwise(rows))
    visit = Visit(*watched)
    of_day = season.observe(graph, features, state, rows[-1] * features, visit)
    seconds = graph.op("Unsqueeze", "elapsed_seconds", graph.const([1, 2], np.int64))

    # A feature that says nothing has no unit, and so no value.
    units = graph.op("Unsqueeze", x, graph.const([1], np.int64))
    units = graph.op("Div", units, graph.const(np.where(prior.seen > 0, prior.unit, np.nan)))
    there = graph.op("Equal", units, units)
    present = graph.op("Cast", there, to=onnx.TensorProto.FLOAT)
    units = graph.op("Where", there, units, graph.const(0))
    whole = graph.op("Asinh", graph.op("Clip", units, graph.const(-MAX_UNITS), graph.const(MAX_UNITS)))
    value = graph.op("Sub", whole, of_day.usual)

    begun = graph.op("Less", graph.const(2 * FIRST_ROW_SECONDS), age)
    kept, level = (graph.op("Where", begun, old, value) for old in (kept, level))
    gain = graph.op("Mul", _gains(graph, seconds, prior), present)
    averages = graph.op("Add", kept, graph.op("Mul", gain, graph.op("Sub", value, kept)))
    sigma = graph.op("Sqrt", variance)
    unclipped = graph.op("Mul", graph.op("Sub", averages, level), graph.op("Div", present, sigma))
    z = graph.op("Clip", unclipped, graph.const(-CLIP), graph.const(CLIP))

    def following(rate: str) -> tuple[Following, ...]:
        weight = graph.op("Mul", _weight(graph, seconds, age, rate, prior.stretch), present)
        learnt = (averages, *_learnt(graph, prior, _Baseline(level, variance, sigma, age), unclipped, weight))
        taught = graph.op("Mul", weight, graph.op("Sub", whole, level))

        def flat(branch: Graph, before: Visit) -> tuple[str]:
            visit_after = branch.op("Add", before.sum, taught), branch.op("Add", before.seconds, weight)
            after = branch.op("Concat", *learnt, *visit_after, axis=1)
            return (branch.op("Reshape", after, branch.const([-1, rows[-1] * features], np.int64)),)

        own = Following(lambda branch: flat(branch, visit), lambda branch: flat(branch, of_day.begun(branch)))
        return own, of_day.following

    return Observed(z, following)


def _gains(graph: Graph, seconds: str, prior: Prior) -> str:
    """1 − 2^(−elapsed / half-life) [N, H, 1] for each half-life."""
    speeds = -np.log(2) / np.array(prior.half_lives)[None, :, None]
    return graph.op("Sub", graph.const(1), graph.op("Exp", graph.op("Mul", seconds, graph.const(speeds))))


@dataclass(frozen=True, slots=True)
class _Baseline:
    """What a node's rows are held against [N, 1, F]."""

    level: str
    variance: str
    sigma: str
    age: str  # seconds learnt


def _weight(graph: Graph, seconds: str, age: str, rate: str, stretch: float) -> str:
    """How many seconds of learning a row is [N, 1, F], at this rate [N, 1]."""
    row = graph.op("Clip", seconds, graph.const(MIN_ROW_SECONDS), graph.const(MAX_ROW_SECONDS * stretch))
    rated = graph.op("Mul", row, graph.op("Unsqueeze", rate, graph.const([1], np.int64)))
    grown = graph.op("Less", graph.const(INFANT_SECONDS * stretch), age)
    weight = graph.op("Where", grown, rated, row)
    new = graph.op("Less", age, graph.const(FIRST_ROW_SECONDS / 2))
    return graph.op("Where", new, graph.const(FIRST_ROW_SECONDS), weight)


def _learnt(graph: Graph, prior: Prior, own: _Baseline, deviation: str, weight: str) -> tuple[str, str, str]:
    """Level, variance and age after a row of this weight, whose averages deviate so many σ [N, H, F]."""
    fastest = graph.op("Gather", deviation, graph.const([0], np.int64), axis=1)
    trusting = graph.op("Less", own.age, graph.const(TRUSTING_SECONDS * prior.stretch))
    lesson, slowness = _lesson(graph, fastest, prior.direction)
    lesson = graph.op("Mul", graph.op("Where", trusting, fastest, lesson), own.sigma)
    slowed = graph.op("Mul", weight, graph.op("Where", trusting, graph.const(1), slowness))
    older = graph.op("Add", own.age, slowed)
    lesson = graph.op("Mul", graph.op("Div", slowed, older), lesson)
    cut = graph.op("Clip", fastest, graph.const(-HUBER), graph.const(HUBER))
    wider = graph.op("Sub", graph.op("Mul", cut, cut), graph.const(1))
    older = graph.op("Add", older, graph.const(prior.variance_seconds * prior.stretch))
    wider = graph.op("Mul", graph.op("Div", slowed, older), wider)
    wider = graph.op("Add", own.variance, graph.op("Mul", own.variance, wider))
    return (
        graph.op("Add", own.level, lesson),
        graph.op("Max", wider, graph.const(prior.least)),
        graph.op("Min", graph.op("Add", own.age, weight), graph.const(LEVEL_SECONDS)),
    )


def _lesson(graph: Graph, deviation: str, direction: Float64) -> tuple[str, str]:
    """What a deviation in σ teaches: cut at HUBER unless it is harmless; and how fast: slower where harmful."""
    above, below = np.where(direction >= 0, HUBER, np.inf), np.where(direction <= 0, HUBER, np.inf)
    lesson = graph.op("Max", graph.op("Min", deviation, graph.const(above)), graph.const(-below))
    harmful = graph.op("Less", graph.const(0), graph.op("Mul", deviation, graph.const(direction)))
    return lesson, graph.op("Where", harmful, graph.const(HARMFUL_RATE), graph.const(1))
