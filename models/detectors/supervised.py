"""Learners of labelled attacks, around one recurrent graph; each detector is one of them, or several that vote.

    x ─▶ deviations (z) ─┬─▶ evidence ─▶ general votes ─┬─▶ p ─▶ −log(1 − p) ÷ threshold = score;
                         └─▶ special votes ─────────────┘    score ≤ 1 ─▶ learn the row, by 1 − p

In: rows with labelled attacks. Out: a `Build`, in −log(1 − p), which has no top. Raises `DataError` where there are
too few attacks to learn from. Costs three passes over the rows, and the fits of `models.detectors.panel`.

Learners see streams with attacks as recorded, cut out, and few (`replay.augmented`), so that how often attacks are
teaches nothing. A row under the alarm is learnt as far as it is likely to be normal: what is under attack, but too
weakly for the budget, does not become so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier

from models import alerts
from models.detectors import deviations, evidence, panel, replay, scored, trees
from models.detectors.build import Build
from models.detectors.deviations import Prior
from models.detectors.evidence import Pull
from models.detectors.panel import FOLDS, PULL_VOTE, Judged, Learner, Lessons, Panel
from models.graph import ML_OPSET, OPSET, Graph
from models.own_threshold import Alarm
from models.table import Table
from receiver.columns import Bool, Float64, Int32
from receiver.errors import DataError

# Fewer attacks than this show no more than themselves.
MIN_ATTACKS, MIN_ATTACK_ROWS = 3, 30
# Labels say what deviations are worth, so a node may soon have its own scale.
OWN_VARIANCE_SECONDS = 600.0
# The least threshold, as a part of that at which both kinds of rows are as likely: there p is 8 %.
LEAST_OF_EVEN = 1 / 8
# Of the labelled attacks, so many may stay below the highest threshold that is needed.
MISSED_SHARE = 0.1
# p is believed up to here: the score stays finite.
MAX_PROBABILITY = 1 - 1e-6
SEED = panel.SEED

Vote = Callable[[Graph, str], str]  # numbers [N, E] → the probability that a row is normal, times a weight [N, 1]


def can_learn(rows: Table) -> bool:
    """True where enough labelled attacks teach, and normal rows beside them."""
    teaches, attack = _teaches(rows), replay.labels(rows)
    if not (teaches & ~attack).any():
        return False
    return len(_attacks(_ordered(rows))) >= MIN_ATTACKS and int((attack & teaches).sum()) >= MIN_ATTACK_ROWS


def fit(rows: Table, learners: Sequence[Learner], trust: float | None = None) -> Build:
    """Deviations, and a panel of the learners; how far its special half is trusted, it judges itself if None."""
    if not can_learn(rows):
        raise DataError(
            f"this detector learns from labels: it needs {MIN_ATTACKS} attacks of {MIN_ATTACK_ROWS} rows together "
            "and normal rows, in a column attack; auto does without"
        )
    rows = _ordered(rows)
    prior = deviations.fit(rows.normal(), OWN_VARIANCE_SECONDS)
    streams, source = replay.augmented(rows)
    z = replay.watch(prior, streams)
    lessons = Lessons(z, replay.labels(streams), streams.node, _groups(rows)[source], streams.weight)
    even, most = float(-np.log(0.5)), None
    if trust is None:
        judged = panel.judge(lessons, prior, learners)
        trust, most = judged.trust, _most(rows, judged, even)
    fitted = panel.fit(lessons, prior, learners, trust=trust)
    width = evidence.width(len(prior.names))
    share = (1 - trust) * (1 - PULL_VOTE) / len(learners), trust / len(learners)
    votes = _Votes(
        (1 - trust) * PULL_VOTE,
        fitted.pulled,
        tuple(_vote(learner, width, share[0]) for learner in fitted.general),
        tuple(_vote(learner, z[0].size, share[1]) for learner in fitted.special),
        _worth(fitted),
    )
    return Build(
        lambda alarm: _close(prior, votes, alarm),
        LEAST_OF_EVEN * even,
        even,
        most,
        again=lambda other: fit(other, learners, trust),
    )


@dataclass(frozen=True, slots=True)
class _Votes:
    """What a panel says, in a graph."""

    pull: float  # the weight of the pull's own vote
    pulled: Pull
    general: tuple[Vote, ...]  # over evidence; none where nobody listens
    special: tuple[Vote, ...]  # over z
    worth: Float64  # [H, F] of each deviation, where features are named


def _close(prior: Prior, votes: _Votes, alarm: Alarm) -> onnx.ModelProto:
    graph = Graph()
    observed = deviations.observe(graph, prior)
    normal: list[str] = []
    if votes.general:
        width = evidence.width(len(prior.names))
        seen = evidence.write(graph, observed.z, prior, votes.pulled)
        pull = graph.op("Sigmoid", graph.op("Neg", graph.columns(seen, width - 1, width)))
        normal += [graph.op("Mul", pull, graph.const(votes.pull)), *(vote(graph, seen) for vote in votes.general)]
    if votes.special:
        flat = graph.op("Reshape", observed.z, graph.const([0, -1], np.int64))
        normal += [vote(graph, flat) for vote in votes.special]
    calm = graph.op("Clip", graph.op("Sum", *normal), graph.const(1 - MAX_PROBABILITY), graph.const(1))
    # Features are named by deviations for what labels say that they are worth: a node at work deviates in others too.
    told = evidence.write_harmful(graph, observed.z, prior.direction, votes.worth)
    return scored.close(graph, prior, observed, graph.op("Neg", graph.op("Log", calm)), alarm, told=told, rate=calm)


def _worth(fitted: Panel) -> Float64:
    """What voters look at: forests tell how much each number parts attacks from normal rows, others go by the pull."""
    told = [getattr(learner, "feature_importances_", None) for learner in fitted.special]
    importances = [importance for importance in told if importance is not None]
    if not importances:
        return evidence.worth(fitted.pulled.weight)
    return evidence.worth(np.mean(importances, axis=0).reshape(fitted.pulled.weight.shape))


def _most(recorded: Table, judged: Judged, even: float) -> float:
    """The level that all but `MISSED_SHARE` of attacks reach, by panels that saw others; not below `even`.

    `recorded` are the first of the rows that were judged, in node and time order.
    """
    level = -np.log(1 - np.minimum(judged.probability, MAX_PROBABILITY))
    reached = [
        alerts.over_of_last(level[first : last + 1]).max()
        for first, last in _attacks(recorded)
        if judged.judged[first] and last > first
    ]
    return max(even, float(np.quantile(reached, MISSED_SHARE))) if reached else even


def _attacks(rows: Table) -> list[tuple[int, int]]:
    """The first and last of each run of attack rows that teach, of rows in node and time order."""
    attack = replay.labels(rows) & _teaches(rows)
    same = np.diff(rows.node, prepend=-1) == 0
    before = np.concatenate([[False], attack[:-1]]) & same
    after = np.concatenate([attack[1:], [False]]) & np.append(same[1:], False)
    return list(zip(np.flatnonzero(attack & ~before).tolist(), np.flatnonzero(attack & ~after).tolist(), strict=True))


def _teaches(rows: Table) -> Bool:
    """Which rows weigh anything [R]."""
    return np.ones(len(rows), bool) if rows.weight is None else rows.weight > 0


def _ordered(rows: Table) -> Table:
    return rows.take(np.lexsort((rows.time_ms, rows.node)))


def _groups(rows: Table) -> Int32:
    """What rows are alike: a node's; where only one is attacked, those of `FOLDS` times with as many attacks each."""
    attack = replay.labels(rows) & _teaches(rows)
    if len(np.unique(rows.node[attack])) > 1:
        return rows.node
    begun = np.cumsum(np.isin(np.arange(len(rows)), [first for first, _ in _attacks(rows)]))
    groups: Int32 = ((np.maximum(begun, 1) - 1) * FOLDS // begun[-1]).astype(np.int32)
    return groups


def _vote(learner: Learner, width: int, weight: float) -> Vote:
    """What writes the learner's probability that a row is normal, times its weight [N, 1], of numbers [N, width]."""
    if isinstance(learner, HistGradientBoostingClassifier):
        boosted = trees.boosted(learner)
        return lambda graph, seen: _weighted(graph, graph.op("Sigmoid", graph.embed(boosted, seen)), weight)
    if isinstance(learner, ExtraTreesClassifier | RandomForestClassifier):
        forest = trees.averaged(learner, weight)
        return lambda graph, seen: graph.embed(forest, seen)
    exported = to_onnx(
        learner,
        initial_types=[("numbers", FloatTensorType([None, width]))],
        target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
        options={id(learner): {"zipmap": False}},
    )
    for node in exported.graph.node:
        node.ClearField("name")  # both halves of a panel would have the same
    return lambda graph, seen: _weighted(
        graph, graph.columns(graph.embed(exported, seen, "probabilities"), 0, 1), weight
    )


def _weighted(graph: Graph, vote: str, weight: float) -> str:
    return graph.op("Mul", vote, graph.const(weight))
