"""Learners that vote on labelled deviations: some know what any node shows, some know single features.

In: `Lessons`, labelled z of streams. Out: a `Panel`, and how far its single-feature half is to be trusted. Costs the
learners' fits to `MAX_ROWS` rows, and `FOLDS` times to `FOLD_ROWS`.

*General* learners see `evidence`: no feature by itself, in copies in which features deviate more or less than they
did, as they do on other workloads. *Special* ones see z of every feature, in copies in which whole stretches deviate
more or less, as weaker and stronger attacks do: which features an attack moves, and how far beside each other, is a
workload's own, and the better evidence where nodes do the same work. Which of it holds, the rows
themselves say: both learn from some groups and judge others, and `trust` is the weight of the special votes that makes
the labels of those likeliest (stacking: Wolpert 1992, "Stacked generalization", Neural Networks 5), or 0 where little
is gained.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from models.detectors import evidence
from models.detectors.deviations import CLIP, Prior
from models.detectors.evidence import Pull
from receiver.columns import Bool, Float32, Float64, Int32, Int64

COPIES = 4
# By so much (σ of a logarithm) deviations are larger or smaller in a copy, for so many rows in a row: each feature by
# itself for general learners, all alike for special ones.
GAIN_SIGMA, GAIN_ROWS = 0.4, 500
STRENGTH_SIGMA, STRENGTH_ROWS = 0.5, 60
# Rows that learners are fitted to, at most: more of them, being neighbours, teach little and take long.
MAX_ROWS = 60_000
# Of attacks and of normal rows at least so many for each copy, however few there are: no learner learns from one kind.
LEAST_DRAWN = 20
# A fold need only show which half is better.
FOLDS, FOLD_ROWS = 3, 20_000
# The pull's own probability counts this much among the general votes: trees alone give many rows the same.
PULL_VOTE = 0.1
# Trust is one of these.
TRUSTS = np.linspace(0, 1, 11)
# Of the log loss, so much must be gained: nodes to come may be less like those that were seen than these are alike.
LEAST_GAIN = 0.1
# A probability is wrong by no more than this, or single rows would decide on trust.
LEAST_PROBABILITY = 1e-3
SEED = 0


class Learner(Protocol):
    """A scikit-learn classifier that skl2onnx can write."""

    def fit(self, x: ArrayLike, y: ArrayLike) -> Self: ...  # noqa: D102 – scikit-learn's

    def predict_proba(self, x: ArrayLike) -> Any: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Lessons:
    """R labelled rows of streams."""

    z: Float32  # [R, H, F]
    attack: Bool  # [R]
    stream: Int32  # [R] rows of a stream follow each other in time
    group: Int32  # [R] rows of a group are alike: a node's, in all of its streams, or a time's
    weight: Float32 | None = None  # [R] how often a row is drawn beside others; None: once

    @property
    def teaches(self) -> Bool:
        """Which rows weigh anything [R]."""
        return np.ones(len(self.z), bool) if self.weight is None else self.weight > 0

    def take(self, rows: Bool) -> Lessons:
        """Some of the rows."""
        weight = None if self.weight is None else self.weight[rows]
        return Lessons(self.z[rows], self.attack[rows], self.stream[rows], self.group[rows], weight)


@dataclass(frozen=True, slots=True)
class Panel:
    """Fitted learners, of the halves that are listened to."""

    pulled: Pull
    general: tuple[Learner, ...]  # over evidence [R, E]
    special: tuple[Learner, ...]  # over z [R, H · F]

    def votes(self, z: Float32, prior: Prior) -> tuple[Float64, Float64]:
        """The probability of an attack [R] by either half, for z [R, H, F]."""
        seen = evidence.evidence(z, prior, self.pulled)
        learnt = np.mean([learner.predict_proba(seen)[:, 1] for learner in self.general], axis=0)
        pull = 1 / (1 + np.exp(-seen[:, -1].astype(np.float64)))
        special = np.mean([learner.predict_proba(z.reshape(len(z), -1))[:, 1] for learner in self.special], axis=0)
        return (1 - PULL_VOTE) * learnt + PULL_VOTE * pull, special


@dataclass(frozen=True, slots=True)
class Judged:
    """What panels say of rows of groups that they have not seen."""

    trust: float  # in the special half, 0 to 1
    judged: Bool  # [R] rows that a panel could be found for
    probability: Float64  # [R] of an attack, by both halves; 0 where not judged


def fit(
    lessons: Lessons, prior: Prior, learners: Sequence[Learner], rows: int = MAX_ROWS, trust: float | None = None
) -> Panel:
    """Fit copies of the learners to so many rows at most: in the halves that `trust` leaves a vote, both if None."""
    features = lessons.z.shape[2]
    z, attack = _varied(lessons, rows, GAIN_SIGMA, GAIN_ROWS, features)
    pulled = evidence.pull(z, prior.direction, attack)
    general: tuple[Learner, ...] = ()
    if trust != 1:
        seen, label = evidence.evidence(z, prior, pulled), attack.astype(np.int64)
        general = _taught(learners, seen, label)
    special: tuple[Learner, ...] = ()
    if trust != 0:
        z, attack = _varied(lessons, rows, STRENGTH_SIGMA, STRENGTH_ROWS, 1)
        flat, label = z.reshape(len(z), -1), attack.astype(np.int64)
        special = _taught(learners, flat, label)
    return Panel(pulled, general, special)


def _taught(learners: Sequence[Learner], x: Float32, label: Int64) -> tuple[Learner, ...]:
    """Copies of the learners, fitted to numbers [r, E]."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # who is told to stop early does
        return tuple(clone(learner).fit(x, label) for learner in learners)


def judge(lessons: Lessons, prior: Prior, learners: Sequence[Learner]) -> Judged:
    """Let panels of some groups judge others; where only one has attacks, nothing is judged and nothing trusted."""
    general, special = np.zeros(len(lessons.z)), np.zeros(len(lessons.z))
    judged = np.zeros(len(lessons.z), bool)
    for left_out in _folds(lessons):
        panel = fit(lessons.take(~left_out), prior, learners, FOLD_ROWS)
        general[left_out], special[left_out] = panel.votes(lessons.z[left_out], prior)
        judged |= left_out
    if not judged.any():
        return Judged(0.0, judged, general)
    seen, votes = lessons.take(judged), (general[judged], special[judged])
    surprise = np.array([_surprise(_both(trust, *votes), seen) for trust in TRUSTS])
    trust = float(TRUSTS[surprise.argmin()]) if surprise.min() < (1 - LEAST_GAIN) * surprise[0] else 0.0
    return Judged(trust, judged, _both(trust, general, special))


def _both(trust: float, general: Float64, special: Float64) -> Float64:
    return (1 - trust) * general + trust * special


def _folds(lessons: Lessons) -> Iterator[Bool]:
    """Which rows to leave out: those of every `FOLDS`-th group, where others teach attacks and normal rows."""
    groups, teaches = np.unique(lessons.group), lessons.teaches
    for fold in range(min(FOLDS, len(groups))):
        left_out = np.isin(lessons.group, groups[fold::FOLDS])
        kept = lessons.attack[~left_out & teaches]
        if kept.any() and not kept.all():
            yield left_out


def _surprise(probability: Float64, seen: Lessons) -> float:
    """The mean log loss of a row."""
    right = np.where(seen.attack, probability, 1 - probability)
    return float(np.average(-np.log(np.maximum(right, LEAST_PROBABILITY)), weights=seen.weight))


def _varied(lessons: Lessons, rows: int, sigma: float, block_rows: int, gains: int) -> tuple[Float32, Bool]:
    """So many rows in copies with `gains` gains, 1 or F, a block of a stream's rows [r, H, F], and their labels."""
    random = np.random.default_rng(SEED)
    z = lessons.z
    block = np.unique(
        lessons.stream.astype(np.int64) * len(z) + _within(lessons.stream) // block_rows, return_inverse=True
    )[1]
    copies, labels = [], []
    for _ in range(COPIES):
        gain = np.exp(sigma * random.normal(size=(int(block.max()) + 1, 1, gains)))
        some = _drawn(random, lessons, rows // COPIES)
        copies.append(np.clip(z[some] * gain[block[some]].astype(np.float32), -CLIP, CLIP))
        labels.append(lessons.attack[some])
    return np.concatenate(copies), np.concatenate(labels)


def _drawn(random: np.random.Generator, lessons: Lessons, rows: int) -> Int64:
    """So many rows at most [r], each once; by weight, as often as it says; and `LEAST_DRAWN` of a kind that is rare."""
    if lessons.weight is None:
        drawn = random.permutation(len(lessons.z))[:rows]
    else:
        share = lessons.weight / lessons.weight.sum(dtype=np.float64)
        drawn = random.choice(len(lessons.z), min(rows, len(lessons.z)), p=share / share.sum())
    for kind in (lessons.attack, ~lessons.attack):
        lacking, there = LEAST_DRAWN - np.count_nonzero(kind[drawn]), np.flatnonzero(kind & lessons.teaches)
        if lacking > 0 and len(there):
            drawn = np.concatenate([drawn, random.choice(there, lacking)])
    return drawn


def _within(stream: Int32) -> Int32:
    """Each row's number among its stream's [R]."""
    order = np.argsort(stream, kind="stable")
    starts = np.flatnonzero(np.diff(stream[order], prepend=-1))
    number = np.arange(len(stream)) - np.repeat(starts, np.diff(np.append(starts, len(stream))))
    within = np.empty(len(stream), np.int32)
    within[order] = number
    return within
