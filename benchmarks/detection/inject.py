"""Anomalies that are made up, put into quiet rows: labels to tune by where real ones may not be looked at.

In: quiet rows of one node, and rows before them that say how lively each feature is. Out: the rows with anomalies in
them, labelled. The same seed gives the same. What detects these best need not detect real ones best: they tell good
ideas from bad ones, and nothing else.

An anomaly lasts `ROWS`, and takes some of the features that ever move: a *level* higher or lower by `SIGMAS` of their
standard deviations; a *ramp* up to such a level; a *burst*, the level in a third of the rows; or *elsewhere*, what
they were at another time, each value usual by itself.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.detection.cases import Episode
from models.table import Table
from receiver.columns import Bool, Float32, Float64, Int64

KINDS = ("level", "ramp", "burst", "elsewhere")
ROWS = (5, 60)  # of one anomaly
SPACING_ROWS = 600  # from one to the next: 8 % of the rows at most are anomalous
SIGMAS = (3.0, 8.0)
# Of the features that move, this share at most, and one at least.
MOST_FEATURES = 1 / 3


def injected(before: Table, quiet: Table, seed: int) -> tuple[Table, tuple[Episode, ...]]:
    """The quiet rows with anomalies, and these; both tables are of one node."""
    random = np.random.default_rng([seed, *quiet.nodes[0].node.encode()])
    sigma = np.nanstd(before.x.astype(np.float64), axis=0)
    live = np.flatnonzero(np.nan_to_num(sigma) > 0)
    x, attack, episodes = quiet.x.copy(), np.zeros(len(quiet), bool), []
    if not len(live):
        return replace(quiet, attack=attack), ()
    for number, start in enumerate(range(SPACING_ROWS // 2, len(quiet) - ROWS[1], SPACING_ROWS)):
        kind = KINDS[number % len(KINDS)]
        end = start + int(random.integers(*ROWS, endpoint=True))
        count = int(random.integers(1, max(1, round(MOST_FEATURES * len(live))), endpoint=True))
        features = np.sort(random.choice(live, count, replace=False))
        x[start:end, features] = _changed(kind, before, x[start:end, features], features, sigma[features], random)
        attack[start:end] = True
        episodes.append(Episode(0, int(quiet.time_ms[start]), int(quiet.time_ms[end - 1]), kind))
    return replace(quiet, x=x, attack=attack), tuple(episodes)


def _changed(
    kind: str, before: Table, rows: Float32, features: Int64, sigma: Float64, random: np.random.Generator
) -> Float32:
    """What these rows of some features [r, f] become."""
    count = len(rows)
    if kind == "elsewhere":
        # Each feature from a time of its own: what is usual together is so no more.
        starts = random.integers(0, len(before) - count, size=len(features))
        moved: Float32 = np.column_stack([before.x[s : s + count, f] for s, f in zip(starts, features, strict=True)])
        return moved
    shift = sigma * random.uniform(*SIGMAS, size=len(features)) * random.choice([-1, 1], size=len(features))
    shape = {"level": np.ones(count), "ramp": np.linspace(0, 1, count)}.get(kind)
    if shape is None:
        some: Bool = random.random(count) < 1 / 3
        shape = some.astype(np.float64)
    shifted: Float32 = (rows + shape[:, None] * shift).astype(np.float32)
    return shifted
