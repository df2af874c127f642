"""Our own recordings in four rounds: alerts, on nodes that no model has learnt from, in service as it is.

Out: a `Course`, the model to begin with, and what makes figures. Raises `DataError`. It begins as a fresh
installation does, with a model of the recorded attacks on other nodes, and every later one learns from these too.
Attacks of every second kind are never spoken of, in alerts or audits. Judged by recall within 60 s, of both halves of
the kinds, and by false alerts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx

from benchmarks.detection.splits import FALSE_ALERTS_PER_NODE_DAY
from benchmarks.prequential.rounds import Course, Went, rounds_of
from benchmarks.recordings import recorded
from models import train
from models.detectors import DEFAULT
from models.measures import Labelled, find
from models.retraining.lessons import Lessons
from models.scenarios.known import Known
from receiver.catalogue import load

ROUNDS = 4
SOON_SECONDS = 60


def course() -> tuple[Course, onnx.ModelProto, Callable[[Course, Mapping[str, Went]], dict[str, Any]]]:
    """The nodes that test."""
    features = load().feature_names
    teaching, tested = recorded("train", features), recorded("measure", features)
    order = np.lexsort((tested.table.time_ms, tested.table.node))
    stream = tested.table.take(order)
    kinds = sorted({attack.kind for _, attack in tested.attacks})
    silent = set(kinds[::2])
    speaks = np.ones(len(stream), bool)
    for node, attack in tested.attacks:
        if attack.kind in silent:
            inside = (stream.time_ms >= attack.start_ms) & (stream.time_ms <= attack.end_ms)
            speaks &= ~(inside & (stream.node == node))
    start, _ = train.fit(teaching.table, DEFAULT, FALSE_ALERTS_PER_NODE_DAY, "budget")

    def figures(course: Course, went: Mapping[str, Went]) -> dict[str, Any]:
        return {run: _figures(course, one, tested, silent) for run, one in went.items()}

    return Course(stream, rounds_of(stream, ROUNDS), speaks, teaching.table, _train), start, figures


def _train(taught: Lessons) -> onnx.ModelProto:
    return train.fit(taught.table, DEFAULT, FALSE_ALERTS_PER_NODE_DAY, "budget", typical=taught.typical)[0]


def _figures(course: Course, went: Went, tested: Known, silent: set[str]) -> dict[str, Any]:
    """By round: recall of kinds spoken of and never spoken of, false alerts and quiet hours."""
    stream = course.stream
    rounds: list[dict[str, float]] = [
        {"spoken": 0, "spoken_raised": 0, "silent": 0, "silent_raised": 0, "false_alerts": 0, "quiet_hours": 0.0}
        for _ in range(int(course.round_of.max()) + 1)
    ]
    for node in range(len(stream.nodes)):
        rows = stream.node == node
        kind_at = {attack.start_ms: attack.kind for on, attack in tested.attacks if on == node}
        for number, told in enumerate(rounds):
            own = rows & (course.round_of == number)
            attack = np.zeros(len(own), bool) if stream.attack is None else stream.attack
            found = find(Labelled(stream.time_ms[own] / 1000, went.score[own].astype(np.float64), attack[own]))
            told["false_alerts"] += found.false_alerts
            told["quiet_hours"] += found.normal_seconds / 3600
            begins = stream.time_ms[own][np.diff(attack[own].astype(np.int8), prepend=0) == 1]
            for start_ms, after in zip(begins.tolist(), found.raised_after.tolist(), strict=True):
                kind = kind_at[max(at for at in kind_at if at <= start_ms)]
                half = "silent" if kind in silent else "spoken"
                told[half] += 1
                told[f"{half}_raised"] += after <= SOON_SECONDS
    return {"rounds": rounds, "labels": len(went.labels), "never_spoken_of": sorted(silent)}
