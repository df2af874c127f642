"""A model over a whole table, by the very step that serves.

In: a `Detector` and a `Table`, its rows in any order. Out: a score for every row, each from rows up to it only.
Raises `ModelError` where a score is not finite. Costs one step of the model for every distinct time of a node:
tables of many nodes go faster a row than long ones of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from models.graph import describe
from models.table import Table
from receiver.columns import Float32, Int64, Rows
from receiver.detector import Detector, NodeStates, StepResult
from receiver.errors import ModelError

Progress = Callable[[int, int], None]  # rows done, rows in all
# Rows that are handed over at once. Of one node, each is a step, and each step looks through the block for its rows.
BLOCK_ROWS = 1024


def no_progress(done: int, total: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a model says of R rows, in the table's order."""

    score: Float32  # [R]
    contribution: Float32  # [R, F]


def run(detector: Detector, table: Table, progress: Progress = no_progress) -> Run:
    """Score every row. A second row of a node at the same time takes the score of the first."""
    by_node = np.lexsort((np.arange(len(table)), table.time_ms, table.node))
    node, time_ms = table.node[by_node], table.time_ms[by_node]
    again = np.concatenate([[False], (node[1:] == node[:-1]) & (time_ms[1:] == time_ms[:-1])])
    in_time = by_node[~again][np.argsort(time_ms[~again], kind="stable")]

    states = NodeStates(detector)
    score = np.empty(len(table), np.float32)
    contribution = np.empty(table.x.shape, np.float32)
    for start in range(0, len(in_time), BLOCK_ROWS):
        block = in_time[start : start + BLOCK_ROWS]
        raw = np.empty((len(block), 0))  # states do not read it
        scores = states.score(Rows(table.node[block], table.time_ms[block], raw, table.x[block]))
        if len(scores) != len(block):
            raise ModelError(f"model {detector.info.path}: gives scores that are not finite for this table")
        score[block], contribution[block] = scores.score, scores.contribution
        progress(start + len(block), len(in_time))
    first = by_node[np.maximum.accumulate(np.where(again, 0, np.arange(len(by_node))))]
    score[by_node], contribution[by_node] = score[first], contribution[first]
    return Run(score, contribution)


def steps(detector: Detector, table: Table) -> Iterator[tuple[Int64, StepResult]]:
    """Step by step through a table: which rows, one a node, and what the model gives for them, states included.

    For a look inside of what is not finished. Rows of a node at the same time follow each other.
    """
    by_node = np.lexsort((np.arange(len(table)), table.time_ms, table.node))
    node, time_ms = table.node[by_node], table.time_ms[by_node]
    starts = np.flatnonzero(np.diff(node, prepend=-1))
    lengths = np.diff(np.append(starts, len(node)))
    elapsed = np.diff(time_ms, prepend=time_ms[:1]) / 1000
    elapsed[starts] = 0
    state = np.tile(detector.initial_state, (len(starts), 1))
    for step in range(int(lengths.max(initial=0))):
        alive = lengths > step
        at = starts[alive] + step
        result = detector.step(table.x[by_node[at]], elapsed[at].astype(np.float32), state[alive])
        state[alive] = result.next_state
        yield by_node[at], result


def probe(model: onnx.ModelProto) -> Detector:
    """A model that is not finished, for a look at what it does."""
    draft = onnx.ModelProto()
    draft.CopyFrom(model)
    describe(draft, {"contract": "1", "version": "draft", "detector": "draft", "created": "", "provenance": {}})
    return Detector.parse(draft.SerializeToString(), Path("draft"))
