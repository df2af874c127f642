"""Learners of labelled attacks, around one recurrent graph; each detector is one of them, or several that vote.

    x ─▶ deviations (z) ─▶ evidence ─▶ votes, mean p ─▶ −log(1 − p) ÷ threshold = score;  score ≤ 1 ─▶ learn the row

In: rows with labelled attacks. Out: a `Build`, in −log(1 − p), which has no top. Raises `DataError` where there are
too few attacks to learn from. Costs three passes over the rows, and the learners' fits to `MAX_ROWS`
of them.

Learners see streams with attacks as recorded, cut out, and few (`replay.augmented`), so that how often attacks are
teaches nothing; and copies in which features deviate more or less than they did, as they do on other workloads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import onnx
from numpy.typing import ArrayLike
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import HistGradientBoostingClassifier

from models.detectors import deviations, evidence, replay, scored, trees
from models.detectors.build import Build
from models.detectors.deviations import CLIP, Prior
from models.detectors.evidence import Pull
from models.graph import ML_OPSET, OPSET, Graph
from models.table import Table
from receiver.columns import Bool, Float32, Int32
from receiver.errors import DataError

# Fewer attacks than this show no more than themselves.
MIN_ATTACKS, MIN_ATTACK_ROWS = 3, 30
COPIES = 4
# By so much (σ of a logarithm) features deviate more or less in a copy, for so many rows in a row.
GAIN_SIGMA, GAIN_ROWS = 0.4, 500
# Rows that learners are fitted to, at most: more of them, being neighbours, teach little and take long.
MAX_ROWS = 60_000
# The pull's own probability counts this much among the votes: trees alone give many rows the same.
PULL_VOTE = 0.1
# The least threshold, as a part of that at which both kinds of rows are as likely: there p is 8 %.
LEAST_OF_EVEN = 1 / 8
# p is believed up to here: the score stays finite.
MAX_PROBABILITY = 1 - 1e-6
SEED = 0


Vote = Callable[[Graph, str], str]  # evidence [N, E] → probability of an attack [N, 1]


class Learner(Protocol):
    """A scikit-learn classifier that skl2onnx can write."""

    def fit(self, x: ArrayLike, y: ArrayLike) -> Learner: ...  # noqa: D102 – scikit-learn's


def can_learn(rows: Table) -> bool:
    """True where there are enough labelled attacks, and normal rows beside them."""
    if rows.attack is None or rows.attack.all():
        return False
    return len(_starts(rows)) >= MIN_ATTACKS and int(rows.attack.sum()) >= MIN_ATTACK_ROWS


def fit(rows: Table, learners: Sequence[Learner]) -> Build:
    """Deviations, evidence, and the learners, whose probabilities are averaged."""
    if not can_learn(rows):
        raise DataError(
            f"this detector learns from labels: it needs {MIN_ATTACKS} attacks of {MIN_ATTACK_ROWS} rows together "
            "and normal rows, in a column attack; auto does without"
        )
    prior = deviations.fit(rows.normal())
    streams = replay.augmented(rows)
    z, attack = _varied(replay.watch(prior, streams), replay.labels(streams), streams.node)
    pulled = evidence.pull(z, prior.direction, attack)
    seen, label = evidence.evidence(z, prior, pulled), attack.astype(np.int64)
    voters = [_vote(learner.fit(seen, label), seen.shape[1]) for learner in learners]
    even = float(-np.log(0.5))
    return Build(lambda threshold: _close(prior, pulled, voters, threshold), LEAST_OF_EVEN * even, even)


def _close(prior: Prior, pulled: Pull, voters: Sequence[Vote], threshold: float) -> onnx.ModelProto:
    graph = Graph()
    observed = deviations.observe(graph, prior)
    seen = evidence.write(graph, observed.z, prior, pulled)
    votes = [vote(graph, seen) for vote in voters]
    learnt = graph.op("Mul", graph.op("Sum", *votes), graph.const((1 - PULL_VOTE) / len(votes)))
    width = evidence.width(len(prior.names))
    pull_odds = graph.columns(seen, width - 1, width)
    mean = graph.op("Add", learnt, graph.op("Mul", graph.op("Sigmoid", pull_odds), graph.const(PULL_VOTE)))
    calm = graph.op("Sub", graph.const(1), graph.op("Clip", mean, graph.const(0), graph.const(MAX_PROBABILITY)))
    return scored.close(graph, prior, observed, graph.op("Neg", graph.op("Log", calm)), threshold)


def _varied(z: Float32, attack: Bool, node: Int32) -> tuple[Float32, Bool]:
    """Of z [R, H, F], `MAX_ROWS` in copies with gains a feature and block of a node's rows, and their labels."""
    random = np.random.default_rng(SEED)
    block = np.unique(node.astype(np.int64) * len(z) + _within(node) // GAIN_ROWS, return_inverse=True)[1]
    copies, labels = [], []
    for _ in range(COPIES):
        gain = np.exp(GAIN_SIGMA * random.normal(size=(int(block.max()) + 1, 1, z.shape[2])))
        some = random.permutation(len(z))[: MAX_ROWS // COPIES]
        copies.append(np.clip(z[some] * gain[block[some]].astype(np.float32), -CLIP, CLIP))
        labels.append(attack[some])
    return np.concatenate(copies), np.concatenate(labels)


def _within(node: Int32) -> Int32:
    """Each row's number among its node's [R]."""
    order = np.argsort(node, kind="stable")
    starts = np.flatnonzero(np.diff(node[order], prepend=-1))
    number = np.arange(len(node)) - np.repeat(starts, np.diff(np.append(starts, len(node))))
    within = np.empty(len(node), np.int32)
    within[order] = number
    return within


def _starts(rows: Table) -> Int32:
    """Where attacks begin, in node and time order."""
    order = np.lexsort((rows.time_ms, rows.node))
    attack = replay.labels(rows)[order]
    before = np.concatenate([[False], attack[:-1] & (np.diff(rows.node[order]) == 0)])
    return np.flatnonzero(attack & ~before).astype(np.int32)


def _vote(learner: Learner, width: int) -> Vote:
    """What writes the learner's probability of an attack [N, 1] over evidence."""
    if isinstance(learner, HistGradientBoostingClassifier):
        boosted = trees.boosted(learner)
        return lambda graph, seen: graph.op("Sigmoid", graph.embed(boosted, seen))
    exported = to_onnx(
        learner,
        initial_types=[("evidence", FloatTensorType([None, width]))],
        target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
        options={id(learner): {"zipmap": False}},
    )
    return lambda graph, seen: graph.columns(graph.embed(exported, seen, "probabilities"), 1, 2)
