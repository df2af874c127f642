"""Detectors that know normal rows only, around one recurrent graph; each is one measure of how a node deviates.

    x ─▶ deviations (z) ─▶ measure ÷ threshold = score;   score ≤ 1 ─▶ learn the row, slowly where it is unusual

In: rows, of which the normal ones are read, and what makes a measure of their deviations. Out: a `Build`, in that
measure. Costs two passes over the rows, and the measure's fit.

Below the alarm, but over what `CAUTIOUS_SHARE` of normal rows have, a baseline learns at `CAUTIOUS_RATE`: attacks too
weak for the budget do not become normal soon, and a node that has changed for good is learnt all the same. A tenth of
that rate found weak attacks a little better where half of the time is attacks, and did not follow a server whose work
changes from day to day.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx

from models.detectors import deviations, replay, scored
from models.detectors.build import Build
from models.detectors.deviations import HALF_LIVES_SECONDS, Prior
from models.detectors.evidence import harm, write_harmful
from models.graph import Graph
from models.own_threshold import Alarm
from models.run import probe
from models.table import Table
from receiver.columns import Float32, Float64

CAUTIOUS_SHARE, CAUTIOUS_RATE = 0.05, 0.3
TEN_SECONDS = HALF_LIVES_SECONDS.index(10.0)

# Harmful deviations [N, H, F], 0 to CLIP, → how unusual they are together [N, 1], ≥ 0; written into a graph.
Measure = Callable[[Graph, str], str]


def fit(rows: Table, learn: Callable[[Prior, Float32], Measure], least: float) -> Build:
    """A detector by what `learn` makes of harmful deviations of normal rows [R, H, F]; `least` as in `Build`."""
    normal = rows.normal()
    prior = deviations.fit(normal)
    harmful = np.maximum(harm(replay.watch(prior, normal), prior.direction), 0)
    measure = learn(prior, harmful)
    cautious = float(np.quantile(_of(measure, harmful), 1 - CAUTIOUS_SHARE))

    def build(alarm: Alarm) -> onnx.ModelProto:
        graph = Graph()
        observed = deviations.observe(graph, prior)
        harmful = write_harmful(graph, observed.z, prior.direction)
        measured = measure(graph, harmful)
        unusual = graph.op("Less", graph.const(cautious), measured)
        rate = graph.op("Where", unusual, graph.const(CAUTIOUS_RATE), graph.const(1))
        return scored.close(graph, prior, observed, measured, alarm, told=harmful, rate=rate)

    return Build(build, least)


def mean(prior: Prior) -> Float64:
    """The weights [F, 1] of a mean over the features that say something."""
    weights: Float64 = prior.seen[:, None] / max(1.0, prior.seen.sum())
    return weights


def ten_seconds(graph: Graph, harmful: str) -> str:
    """Of harmful deviations [N, H, F], those of averages over ten seconds [N, F]."""
    axis = graph.const([1], np.int64)
    cut = [graph.const([value], np.int64) for value in (TEN_SECONDS, TEN_SECONDS + 1)]
    return graph.op("Squeeze", graph.op("Slice", harmful, *cut, axis), axis)


def _of(measure: Measure, harmful: Float32) -> Float32:
    """The measure of rows [R], by the graph that serves; it takes them for states, in which nothing is missing."""
    graph, (rows, lengths, features) = Graph(), harmful.shape
    measured = measure(graph, graph.op("Reshape", "state", graph.const([-1, lengths, features], np.int64)))
    model = graph.close(
        score=graph.op("Squeeze", measured, graph.const([1], np.int64)),
        next_state="state",
        contribution=None,
        features=("nothing",),
        state=np.zeros(lengths * features, np.float32),
    )
    return (
        probe(model).step(np.zeros((rows, 1), np.float32), np.zeros(rows, np.float32), harmful.reshape(rows, -1)).score
    )
