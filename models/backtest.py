"""A model over the rows that a service has stored, held against the labels of its store.

In: a reader of a store, a span of time, a model. Out: `Watched`, one for each node that has rows in the span. The
rows are those that the service scored, as its detector saw them, and the model runs over them by the step that
serves: each score follows from rows up to its own, and every node begins as a new one. Labels judge, they move no
baseline here. Raises `ModelError` where a score is not finite, and what the reader raises. Costs a step for every
distinct time of the span, and some 100 bytes of memory a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from models.measures import Labelled
from models.run import BLOCK_ROWS, Progress, no_progress
from receiver.columns import Bool, Float32, Float64, Int32, Int64, NodeName, Rows, Scores
from receiver.detector import Detector, NodeStates
from receiver.errors import ModelError
from receiver.store import Label, RowReader


@dataclass(frozen=True, slots=True)
class Watched:
    """What a model says of the rows of one node, in time order, and what is known of them."""

    name: NodeName
    time_ms: Int64  # [R]
    score: Float64  # [R] 1.0 is the threshold
    attack: Bool  # [R] a label calls the row an attack
    normal: Bool  # [R] a label calls it normal; neither: nobody has said anything
    over: Int64  # [O] rows over the threshold
    contribution: Float32  # [O, F] of these; NaN where the model computes none

    def labelled(self) -> Labelled:
        """As `models.measures` takes it: what nobody calls an attack counts as normal."""
        return Labelled(self.time_ms / 1000, self.score, self.attack)


def watch(
    reader: RowReader,
    detector: Detector,
    since_ms: int,
    until_ms: int,
    progress: Progress = no_progress,
    nodes: Sequence[int] | None = None,
) -> list[Watched]:
    """The nodes of a store with rows in since ≤ time < until, by name; of these, or all.

    The model's features are the reader's.
    """
    found = _scores(reader, detector, since_ms, until_ms, progress, nodes)
    if not len(found.node):
        return []
    labels_of: dict[NodeName, list[Label]] = {}
    for label in reader.labels(since_ms, until_ms):
        labels_of.setdefault(label.name, []).append(label)
    names = reader.nodes()
    order = np.argsort(found.node, kind="stable")
    row_over = np.full(len(order), -1)
    row_over[found.over] = np.arange(len(found.over))
    watched = []
    for rows in np.split(order, np.flatnonzero(np.diff(found.node[order])) + 1):
        name = names[int(found.node[rows[0]])]
        attack, normal = said(found.time_ms[rows], labels_of.get(name, []))
        over = np.flatnonzero(row_over[rows] >= 0)
        contribution = found.contribution[row_over[rows[over]]]
        score = found.score[rows].astype(np.float64)
        watched.append(Watched(name, found.time_ms[rows], score, attack, normal, over, contribution))
    return sorted(watched, key=lambda node: node.name)


def said(time_ms: Int64, labels: Iterable[Label]) -> tuple[Bool, Bool]:
    """Which rows [R] of a node its labels call attacks, and which normal; of two labels the newer one holds."""
    attack, normal = np.zeros(len(time_ms), bool), np.zeros(len(time_ms), bool)
    for label in sorted(labels, key=lambda label: (label.created_ms, label.id)):
        inside = (time_ms >= label.start_ms) & (time_ms <= label.end_ms)
        attack[inside], normal[inside] = label.attack, not label.attack
    return attack, normal


@dataclass(frozen=True, slots=True)
class _Found:
    """Scores of R rows of all nodes, by (time, node)."""

    node: Int32  # [R]
    time_ms: Int64  # [R]
    score: Float32  # [R]
    over: Int64  # [O] rows over the threshold
    contribution: Float32  # [O, F]


def _scores(
    reader: RowReader,
    detector: Detector,
    since_ms: int,
    until_ms: int,
    progress: Progress,
    nodes: Sequence[int] | None,
) -> _Found:
    states = NodeStates(detector)
    blocks: list[_Found] = []
    seen, first_ms = 0, None
    for stored in reader.read_scores(since_ms, until_ms, nodes):
        first_ms = int(stored.time_ms[0]) if first_ms is None else first_ms
        for start in range(0, len(stored), BLOCK_ROWS):
            scores = _again(states, stored, slice(start, start + BLOCK_ROWS))
            over = np.flatnonzero(scores.score > 1)
            blocks.append(
                _Found(scores.node, scores.time_ms, scores.score, seen + over, scores.contribution[over].copy())
            )
            seen += len(scores)
        progress(int(stored.time_ms[-1]) - first_ms, until_ms - first_ms)
    return _joined(blocks, len(detector.info.feature_names))


def _again(states: NodeStates, stored: Scores, rows: slice) -> Scores:
    """Those of the stored rows, scored anew."""
    x = stored.x[rows]
    raw = np.empty((len(x), 0))  # states do not read it
    scores = states.score(Rows(stored.node[rows], stored.time_ms[rows], raw, x))
    if len(scores) != len(x):
        raise ModelError(f"model {states.detector.info.path}: gives scores that are not finite for stored rows")
    return scores


def _joined(blocks: Sequence[_Found], features: int) -> _Found:
    nothing = np.empty(0, np.int64)
    return _Found(
        np.concatenate([nothing.astype(np.int32), *(block.node for block in blocks)]),
        np.concatenate([nothing, *(block.time_ms for block in blocks)]),
        np.concatenate([nothing.astype(np.float32), *(block.score for block in blocks)]),
        np.concatenate([nothing, *(block.over for block in blocks)]),
        np.concatenate([np.empty((0, features), np.float32), *(block.contribution for block in blocks)]),
    )
