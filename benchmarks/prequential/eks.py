"""The EKS nodes in seven rounds: rows labelled attack or not, attacks in half of the time.

In: the folder of `eks-node`. Out: a `Course`, the model to begin with, and what makes figures. Raises `DataError`.
The first model knows quiet rows of our own recordings and nothing of these nodes. Rounds are judged by the rows:
accuracy, and the share of normal rows that are called attacks, over the nodes of a round; the gain by blocks of rows,
paired.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.detection import eks
from benchmarks.detection.compare import paired
from benchmarks.detection.splits import FALSE_ALERTS_PER_NODE_DAY
from benchmarks.prequential.rounds import Course, Went, rounds_of
from benchmarks.recordings import recorded
from models import train
from models.detectors import DEFAULT, supervised
from models.retraining import lessons
from models.retraining.sample import Sample
from models.run import probe
from models.table import Table, joined
from receiver.columns import Bool, Float64
from receiver.detector import Detector

ROUNDS = 7
# Rows that follow each other are alike: a run of attack or quiet has some 115.
BLOCK_ROWS = 230
SEED = 0


def course(folder: Path) -> tuple[Course, Detector, Callable[[Course, Mapping[str, Went]], dict[str, Any]]]:
    """The three workloads side by side."""
    stream = joined(list(eks.nodes(folder, "test").values()))
    quiet = replace(recorded("train", stream.features).table.normal(), attack=None)
    start, _ = train.fit(quiet, DEFAULT, FALSE_ALERTS_PER_NODE_DAY, "budget")
    everything = np.ones(len(stream), bool)
    return Course(stream, rounds_of(stream, ROUNDS), everything, _train), probe(start), figures


def _train(sample: Sample, _: Detector) -> Detector:
    """For accuracy where there are enough labels, else for a budget; by the lessons of `nodescore retrain`."""
    taught = lessons.of(sample, None)
    objective: train.Objective = "accuracy" if supervised.can_learn(taught.table) else "budget"
    return probe(train.fit(taught.table, DEFAULT, FALSE_ALERTS_PER_NODE_DAY, objective)[0])


def figures(course: Course, went: Mapping[str, Went]) -> dict[str, Any]:
    """By run: each round's accuracy and false-positive rate, labels given; gains in the last round."""
    attack = eks.labels(course.stream)
    found: dict[str, Any] = {}
    for run, one in went.items():
        called = one.score > 1
        rounds = [course.round_of == number for number in range(int(course.round_of.max()) + 1)]
        found[run] = {
            "accuracy": [float((called == attack)[rows].mean()) for rows in rounds],
            "false_positive_rate": [float(called[rows & ~attack].mean()) for rows in rounds],
            "labels": len(one.labels),
        }
    last = course.round_of == course.round_of.max()
    for run, other in (("with feedback", "without feedback"), ("a tenth wrong", "with feedback")):
        if run in went and other in went:
            blocks = [_blocks((went[name].score > 1) == attack, course.stream, last) for name in (run, other)]
            gain = paired(blocks[0], blocks[1], SEED)
            found[run]["gain"] = {"over": other, "mean": gain.mean, "low": gain.low, "high": gain.high}
    return found


def _blocks(right: Bool, table: Table, rows: Bool) -> Float64:
    """The share of rows that are right, block by block of each node."""
    return np.concatenate(
        [
            [block.mean() for block in np.array_split(own, max(1, len(own) // BLOCK_ROWS))]
            for own in (right[rows & (table.node == node)].astype(np.float64) for node in range(len(table.nodes)))
        ]
    )
