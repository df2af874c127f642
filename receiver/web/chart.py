"""A node's scores, or one of its features → the paths of an SVG.

Our own, and not a chart library's: fifty of them stand on a page, and these take 0.1 ms and 1 KB each and need no
style of their own (pygal 3.1: 5 ms, 15 KB, and a style element that a strict Content-Security-Policy refuses, as does
matplotlib's SVG, which would make serving need what only training does). The node page's larger charts are the same
in another frame. All charts of scores have one scale, so that the threshold is at the same height everywhere; scores
over its top are cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from receiver.columns import Float32, Float64, Int64

TOP_SCORE = 3.0
# A line over a longer silence would show scores that nobody made.
GAP_INTERVALS = 4


@dataclass(frozen=True, slots=True)
class Frame:
    """The box of a chart, in its own units; each column shows its share of time."""

    width: int
    height: int
    columns: int


SPARKLINE = Frame(240, 44, 120)
PANEL = Frame(960, 200, 480)
SMALL = Frame(240, 60, 120)


@dataclass(frozen=True, slots=True)
class Chart:
    """Path data in a box of the frame's size, and the same in words."""

    line: str
    area: str  # between the line and the threshold; the page shows the part above it
    text: str


@dataclass(frozen=True, slots=True)
class Curve:
    """A feature's path data, from its lowest value at the bottom to its highest at the top."""

    line: str
    low: float
    high: float


def height_of(score: float, frame: Frame = SPARKLINE) -> float:
    """The y of a score; y grows downwards, and half a line's width stays free at both ends."""
    return round(_height(min(max(score, 0.0), TOP_SCORE) / TOP_SCORE, frame), 1)


def chart(time_ms: Int64, score: Float32, since_ms: int, until_ms: int, frame: Frame = SPARKLINE) -> Chart:
    """Draw scores that are in time order: of each column the highest, since a peak is what one looks for."""
    finite = np.isfinite(score) & (time_ms >= since_ms) & (time_ms < until_ms)
    time_ms, score = time_ms[finite], score[finite]
    if not len(score):
        return Chart("", "", "No scores in this time.")
    x, starts = _columns(time_ms, since_ms, until_ms, frame)
    heights = [height_of(peak, frame) for peak in np.maximum.reduceat(score, starts).tolist()]
    runs = _runs(x, heights, frame)
    over = float(np.mean(score > 1.0))
    return Chart(
        line="".join("M" + "L".join(points) for points in runs),
        area="".join(_area(points, height_of(1.0, frame)) for points in runs),
        text=f"Score now {score[-1]:.2f}, highest {score.max():.2f}, over the threshold {over:.0%} of the time.",
    )


def curve(time_ms: Int64, value: Float32, since_ms: int, until_ms: int, frame: Frame = SMALL) -> Curve | None:
    """Draw a feature's values that are in time order: of each column the mean; None where there are none."""
    finite = np.isfinite(value) & (time_ms >= since_ms) & (time_ms < until_ms)
    time_ms, exact = time_ms[finite], value[finite].astype(np.float64)
    if not len(exact):
        return None
    x, starts = _columns(time_ms, since_ms, until_ms, frame)
    counts = np.diff(starts, append=len(exact))
    means = np.add.reduceat(exact, starts) / counts
    low, high = float(exact.min()), float(exact.max())
    shares = (means - low) / (high - low) if high > low else np.full(len(means), 0.5)
    heights = [round(_height(share, frame), 1) for share in shares.tolist()]
    runs = _runs(x, heights, frame)
    return Curve("".join("M" + "L".join(points) for points in runs), low, high)


def span(start_ms: int, end_ms: int, since_ms: int, until_ms: int, frame: Frame) -> tuple[float, float]:
    """The x and the width of an interval, as far as it is in the frame; wide enough to be seen."""
    scale = frame.width / (until_ms - since_ms)
    left, right = ((min(max(at, since_ms), until_ms) - since_ms) * scale for at in (start_ms, end_ms))
    return round(left, 1), round(max(right - left, 1.0), 1)


def _height(share: float, frame: Frame) -> float:
    return frame.height - 1 - (frame.height - 2) * share


def _columns(time_ms: Int64, since_ms: int, until_ms: int, frame: Frame) -> tuple[Float64, Int64]:
    """The x of the first point of each column that has one, and its place."""
    share = (time_ms - since_ms) / (until_ms - since_ms)
    column = np.minimum((share * frame.columns).astype(np.int64), frame.columns - 1)
    starts = np.flatnonzero(np.diff(column, prepend=-1))
    return (share[starts] * frame.width).round(1), starts


def _runs(x: Float64, heights: list[float], frame: Frame) -> list[list[str]]:
    """Points as `x,y`, cut into runs at gaps."""
    points = [f"{px:g},{py:g}" for px, py in zip(x.tolist(), heights, strict=True)]
    steps = np.diff(x)
    if not len(steps):
        return [[points[0], points[0]]]  # one point: a line of no length, which round caps make a dot
    cuts = np.flatnonzero(steps > max(GAP_INTERVALS * float(np.median(steps)), 2 * frame.width / frame.columns)) + 1
    bounds = [0, *cuts.tolist(), len(points)]
    return [points[a:b] if b - a > 1 else [points[a]] * 2 for a, b in pairwise(bounds)]


def _area(points: list[str], threshold: float) -> str:
    first, last = points[0].split(",")[0], points[-1].split(",")[0]
    return f"M{first},{threshold:g}L{'L'.join(points)}L{last},{threshold:g}Z"
