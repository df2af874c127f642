"""A node's scores → the paths of one small SVG.

Our own, and not a chart library's, because fifty of them stand on a page: these take 0.1 ms and 1 KB each and need
no style of their own (pygal 3.1: 5 ms, 15 KB, and a style element that a strict Content-Security-Policy refuses).
All charts have one scale, so that the threshold is at the same height in every row; scores over its top are cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from receiver.columns import Float32, Float64, Int64

WIDTH = 240
HEIGHT = 44
TOP_SCORE = 3.0
# Each column of the chart shows the highest score in its share of time: a peak is what one looks for.
COLUMNS = 120
# A line over a longer silence would show scores that nobody made.
GAP_INTERVALS = 4


def height_of(score: float) -> float:
    """The y of a score; y grows downwards, and half a line's width stays free at both ends."""
    return round(HEIGHT - 1 - (HEIGHT - 2) * min(max(score, 0.0), TOP_SCORE) / TOP_SCORE, 1)


@dataclass(frozen=True, slots=True)
class Chart:
    """Path data in a box of `WIDTH` × `HEIGHT`, and the same in words."""

    line: str
    area: str  # between the line and the threshold; the page shows the part above it
    text: str


def chart(time_ms: Int64, score: Float32, since_ms: int, until_ms: int) -> Chart:
    """Draw scores that are in time order."""
    finite = np.isfinite(score) & (time_ms >= since_ms) & (time_ms < until_ms)
    time_ms, score = time_ms[finite], score[finite]
    if not len(score):
        return Chart("", "", "No scores in this time.")
    share = (time_ms - since_ms) / (until_ms - since_ms)
    column = np.minimum((share * COLUMNS).astype(np.int64), COLUMNS - 1)
    starts = np.flatnonzero(np.diff(column, prepend=-1))
    x = (share[starts] * WIDTH).round(1)
    peaks = np.maximum.reduceat(score, starts).astype(np.float64)
    runs = _runs(x, peaks)
    over = float(np.mean(score > 1.0))
    return Chart(
        line="".join("M" + "L".join(points) for points in runs),
        area="".join(_area(points) for points in runs),
        text=f"Score now {score[-1]:.2f}, highest {score.max():.2f}, over the threshold {over:.0%} of the time.",
    )


def _runs(x: Float64, score: Float64) -> list[list[str]]:
    """Points as `x,y`, cut into runs at gaps."""
    points = [f"{px:g},{height_of(value):g}" for px, value in zip(x.tolist(), score.tolist(), strict=True)]
    steps = np.diff(x)
    if not len(steps):
        return [[points[0], points[0]]]  # one point: a line of no length, which round caps make a dot
    cuts = np.flatnonzero(steps > max(GAP_INTERVALS * float(np.median(steps)), 2 * WIDTH / COLUMNS)) + 1
    bounds = [0, *cuts.tolist(), len(points)]
    return [points[a:b] if b - a > 1 else [points[a]] * 2 for a, b in pairwise(bounds)]


def _area(points: list[str]) -> str:
    threshold = f"{height_of(1.0):g}"
    first, last = points[0].split(",")[0], points[-1].split(",")[0]
    return f"M{first},{threshold}L{'L'.join(points)}L{last},{threshold}Z"
