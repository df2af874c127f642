"""Learners of labelled attacks, around one recurrent graph; each detector is one of them, or several that vote.

    x ─▶ deviations (z) ─▶ evidence ─▶ learners, mean p ─▶ −log(1 − p) ÷ threshold = score;  score ≤ 1 ─▶ learn the row

In: rows with labelled attacks. Out: a `Build`, in −log(1 − p), which has no top. Raises `DataError` where there are
too few attacks to learn from. Costs the learners' fits over `COPIES` times the rows, three streams of each.

Learners see streams with attacks as recorded, cut out, and few (`replay.augmented`), so that how often attacks are
teaches nothing; and copies in which features deviate more or less than they did, as they do on other workloads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import onnx
from numpy.typing import ArrayLike
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import HistGradientBoostingClassifier

from models.detectors import boosted_trees, deviations, evidence, replay
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
# p is believed up to here: the score stays finite.
MAX_PROBABILITY = 1 - 1e-6
SEED = 0


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
    seen = evidence.evidence(z, prior, pulled)
    fitted = [_exported(learner.fit(seen, attack.astype(np.int64)), seen.shape[1]) for learner in learners]
    return Build(
        lambda threshold: _close(prior, pulled, fitted, threshold), least=-np.log(0.5) / 8, even=float(-np.log(0.5))
    )


def _close(prior: Prior, pulled: Pull, learners: Sequence[onnx.ModelProto], threshold: float) -> onnx.ModelProto:
    graph = Graph()
    observed = deviations.observe(graph, prior)
    seen = evidence.write(graph, observed.z, prior, pulled)
    votes = [graph.embed(learner, seen, "probabilities") for learner in learners]
    attack = [graph.columns(vote, 1, 2) for vote in votes]
    mean = graph.op("Div", graph.op("Sum", *attack), graph.const(len(attack)))
    calm = graph.op("Sub", graph.const(1), graph.op("Clip", mean, graph.const(0), graph.const(MAX_PROBABILITY)))
    surprise = graph.op("Div", graph.op("Neg", graph.op("Log", calm)), graph.const(threshold))
    score = graph.op("Squeeze", surprise, graph.const([1], np.int64))
    calm_now = graph.op("Cast", graph.op("LessOrEqual", surprise, graph.const(1)), to=onnx.TensorProto.FLOAT)
    return graph.close(
        score=score,
        next_state=observed.next_state(calm_now),
        contribution=evidence.contribution(graph, observed.z, score, prior.direction),
        features=prior.names,
        state=prior.initial_state(),
    )


def _varied(z: Float32, attack: Bool, node: Int32) -> tuple[Float32, Bool]:
    """Copies of z [R, H, F] with gains a feature and block of a node's rows, and their labels."""
    random = np.random.default_rng(SEED)
    block = np.unique(node.astype(np.int64) * len(z) + _within(node) // GAIN_ROWS, return_inverse=True)[1]
    copies = []
    for _ in range(COPIES):
        gain = np.exp(GAIN_SIGMA * random.normal(size=(int(block.max()) + 1, 1, z.shape[2])))
        copies.append(np.clip(z * gain[block].astype(np.float32), -CLIP, CLIP))
    return np.concatenate(copies), np.tile(attack, COPIES)


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


def _exported(learner: Learner, width: int) -> onnx.ModelProto:
    if isinstance(learner, HistGradientBoostingClassifier):
        return boosted_trees.export(learner)
    exported: onnx.ModelProto = to_onnx(
        learner,
        initial_types=[("evidence", FloatTensorType([None, width]))],
        target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
        options={id(learner): {"zipmap": False}},
    )
    return exported
