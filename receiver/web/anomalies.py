"""Stretches of a node's past that are over the threshold, as pages show them.

In: the scores of one node, by time. Out: `Anomaly`s, by time. Costs some passes over the rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from receiver.columns import Scores

# Rows over the threshold that are closer than this are of one anomaly.
JOIN_MS = 60_000
# Of a day's anomalies; the highest ones are shown.
MAX_ANOMALIES = 30


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Rows over the threshold, one after the other."""

    start_ms: int
    end_ms: int
    peak_ms: int
    score: float


def anomalies(scores: Scores) -> list[Anomaly]:
    """All of them."""
    (over,) = np.nonzero(scores.score > 1.0)
    if not len(over):
        return []
    cuts = np.flatnonzero(np.diff(scores.time_ms[over]) > JOIN_MS) + 1
    found = []
    for run in np.split(over, cuts):
        start_ms, end_ms = scores.time_ms[run[[0, -1]]].tolist()
        peak = run[np.argmax(scores.score[run])]
        found.append(Anomaly(start_ms, end_ms, int(scores.time_ms[peak]), float(scores.score[peak])))
    return found


def highest(scores: Scores) -> list[Anomaly]:
    """The highest where there are many."""
    chosen = sorted(anomalies(scores), key=lambda one: -one.score)[:MAX_ANOMALIES]
    return sorted(chosen, key=lambda one: one.start_ms)
