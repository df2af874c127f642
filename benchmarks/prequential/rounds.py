"""Rounds of scoring, feedback and retraining over a stream of rows that are known to the end.

Round r is scored by the model that has seen rounds up to r − 1, running over the stream from its first row; then the
operator speaks of it, and the next model is made of all rows so far, as the course has it. Nothing of a round reaches
the model that scores it. Out: the scores of every row by the model of its round. Costs a training and a run a round.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.prequential.operator import Operator, Seen, labels
from models.retraining.sample import Sample
from models.run import run
from models.table import Table
from receiver.columns import Bool, Float32, Int32
from receiver.detector import Detector
from receiver.store import Label

# All rows so far with what was said of them, and the model that scored the last of them → the next round's model.
Train = Callable[[Sample, Detector], Detector]


@dataclass(frozen=True, slots=True)
class Course:
    """A stream, and how it is gone through."""

    stream: Table  # by node and time, with what is true
    round_of: Int32  # [R]
    speaks: Bool  # [R] of attacks in these rows the operator says what they are
    train: Train


@dataclass(frozen=True, slots=True)
class Went:
    """What came of it."""

    score: Float32  # [R] by the model of each row's round
    labels: tuple[Label, ...]


def rounds_of(table: Table, rounds: int) -> Int32:
    """The round of each row [R], of a table by node and time: each node's rows in equal parts."""
    first = np.searchsorted(table.node, table.node)
    rows = np.searchsorted(table.node, table.node, side="right") - first
    number: Int32 = ((np.arange(len(table)) - first) * rounds // rows).astype(np.int32)
    return number


def go(course: Course, start: Detector, operator: Operator | None, tell: Callable[[str], None]) -> Went:
    """All rounds, from this model on; without an operator, models are retrained on what nobody has spoken of."""
    stream, model = course.stream, start
    score = np.zeros(len(stream), np.float32)
    said: list[Label] = []
    last = int(course.round_of.max())
    for round_ in range(last + 1):
        so_far, now = course.round_of <= round_, course.round_of == round_
        score[now] = run(model, stream.take(so_far)).score[now[so_far]]
        if operator is not None:
            said += _said(course, score, now, operator, round_)
        tell(f"round {round_ + 1} of {last + 1}: {len(said)} labels")
        if round_ < last:
            model = course.train(_sample(course, score, so_far, said), model)
    return Went(score, tuple(said))


def _said(course: Course, score: Float32, now: Bool, operator: Operator, round_: int) -> list[Label]:
    stream, said = course.stream, []
    for number, name in enumerate(stream.nodes):
        rows = np.flatnonzero(now & (stream.node == number))
        attack = np.zeros(len(rows), bool) if stream.attack is None else stream.attack[rows]
        seen = Seen(name, stream.time_ms[rows], score[rows].astype(np.float64), attack, course.speaks[rows])
        said += labels(seen, operator, round_)
    return said


def _sample(course: Course, score: Float32, so_far: Bool, said: list[Label]) -> Sample:
    table = replace(course.stream.take(so_far), attack=None)
    return Sample(table, score[so_far], np.ones(len(table), bool), tuple(said))
