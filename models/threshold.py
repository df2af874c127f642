"""The alarm threshold, from past scores.

`for_budget` finds the lowest score at which normal rows raise at most so many false alerts a node-day, by the
definition of `models.alerts`. Where the data is long enough to count them, they are counted. Where it is not
(a budget of 0.1 a node-day takes 100 node-days to see ten), the tail is modelled: the peaks of separate
alerts over a base level follow a generalised Pareto distribution (peaks over threshold; Coles,
"An Introduction to Statistical Modeling of Extreme Values", 2001, chapter 4), fitted by moments (Hosking and
Wallis 1987), its shape kept within `SHAPE_LIMITS`.

`for_accuracy` finds the score at which most rows with labels are told apart. The two are two things: the
first speaks of alerts in time, the second of rows.

A rate has a bound: `rate_bound` gives the highest rate of a Poisson process that would show so few alerts in
5 % of cases; with none in D days, 3/D.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy.stats import chi2

from models import alerts
from receiver.columns import Bool, Float64
from receiver.errors import DataError

SECONDS_PER_DAY = 86400.0
# Fewer expected alerts than this are too few to count: their number is off by more than a third.
MIN_COUNTED_ALERTS = 10.0
# Peaks that the tail is fitted to, at most: more would reach down into the bulk.
TAIL_PEAKS = 50
# Of the rows, so many belong to the bulk.
BULK = 0.9
# Fewer peaks than this say nothing of the shape: an exponential tail is assumed.
MIN_SHAPED_PEAKS = 10
SHAPE_LIMITS = (-0.2, 0.4)
# Of the logarithm of peaks: a score with a top has little, and what doubles and doubles again is no tail.
LOG_SCALE_LIMITS = (0.02, 1.0)
# The tail is believed no further than this many times the highest score seen.
MAX_REACH = 10.0
# Gaps longer than this are no time watched.
MAX_GAP_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Node:
    """The scores of one node, in time order."""

    seconds: Float64  # [R]
    score: Float64  # [R]


@dataclass(frozen=True, slots=True)
class Budget:
    """A threshold, and what it rests on."""

    threshold: float
    asked_per_node_day: float
    method: str  # counted | tail
    node_days: float
    alerts: int  # that the threshold would have raised on these rows
    bound_95_per_node_day: float
    tail_shape: float | None
    tail_log_scale: float  # a threshold higher by this, as a logarithm, is passed e times as rarely
    highest_score: float

    def card(self) -> dict[str, float | str | None]:
        """As JSON."""
        return asdict(self)


def for_budget(nodes: Sequence[Node], per_node_day: float) -> Budget:
    """The threshold for a budget of false alerts a node-day, from scores of normal rows."""
    days = node_days(nodes)
    raising = np.concatenate([alerts.over_of_last(node.score) for node in nodes]) if nodes else np.empty(0)
    levels = np.unique(raising[raising > 0])
    if len(levels):
        # Low in the bulk, alerts merge into few endless ones: no place to count them.
        levels = levels[levels >= min(np.quantile(raising, BULK), levels[-1])]
    if days <= 0 or not len(levels):
        raise DataError("too few normal rows for a threshold: no node has three in a row with a score over 0")
    allowed = per_node_day * days
    base = _lowest(levels, lambda level: count(nodes, level) <= TAIL_PEAKS)
    peaks = _peaks(nodes, base)
    shape = None
    if allowed >= MIN_COUNTED_ALERTS:
        method, threshold = "counted", _lowest(levels, lambda level: count(nodes, level) <= allowed)
    else:
        method = "tail"
        threshold, shape = _tail(base, peaks, max(1, len(peaks)) / max(allowed, 1e-12))
        threshold = min(threshold, MAX_REACH * float(levels[-1]))
        if allowed < 1:  # nothing that was seen may alarm
            threshold = max(threshold, float(levels[-1]))
    seen = count(nodes, threshold)
    return Budget(
        threshold=float(threshold),
        asked_per_node_day=per_node_day,
        method=method,
        node_days=days,
        alerts=seen,
        bound_95_per_node_day=rate_bound(seen, days),
        tail_shape=shape,
        tail_log_scale=_log_scale(base, peaks),
        highest_score=float(levels[-1]),
    )


def for_accuracy(score: Float64, attack: Bool) -> float:
    """The threshold over which rows [R] are best called attacks."""
    order = np.argsort(-score, kind="stable")
    ranked, hits = score[order], attack[order]
    # Rows called attacks: the first k. Right: attacks among them, and normal rows among the others.
    right = np.cumsum(hits) + (~attack).sum() - np.cumsum(~hits)
    last_of_tie = np.concatenate([ranked[1:] != ranked[:-1], [True]])
    best = int(np.argmax(np.where(last_of_tie, right, -1)))
    below = ranked[best + 1] if best + 1 < len(ranked) else 0.0
    return float(max((ranked[best] + below) / 2, 1e-9))


def count(nodes: Sequence[Node], threshold: float) -> int:
    """False alerts that these scores raise, merged."""
    return sum(len(alerts.merged(alerts.find(node.score, threshold), node.seconds)) for node in nodes)


def node_days(nodes: Sequence[Node]) -> float:
    """Time that was watched, gaps left out."""
    return sum(float(np.minimum(np.diff(node.seconds), MAX_GAP_SECONDS).sum()) for node in nodes) / SECONDS_PER_DAY


def rate_bound(events: int, days: float) -> float:
    """The upper 95 % bound of a Poisson rate, a day."""
    return float(chi2.ppf(0.95, 2 * (events + 1)) / 2 / days) if days > 0 else float("inf")


def _lowest(levels: Float64, enough: Callable[[float], bool]) -> float:
    """The lowest level from which on `enough` holds, by bisection: alerts get fewer as the level rises."""
    low, high = 0, len(levels) - 1
    while low < high:
        middle = (low + high) // 2
        if enough(levels[middle]):
            high = middle
        else:
            low = middle + 1
    return float(levels[low])


def _peaks(nodes: Sequence[Node], base: float) -> Float64:
    """The highest raising level of each separate alert over `base`."""
    peaks = []
    for node in nodes:
        raising = alerts.over_of_last(node.score)
        found = alerts.merged(alerts.find(node.score, base), node.seconds)
        peaks += [raising[first : last + 1].max() for first, last in zip(found.raised, found.last, strict=True)]
    return np.array(peaks)


def _log_scale(base: float, peaks: Float64) -> float:
    """The mean logarithm of peaks over their base (Hill 1975)."""
    mean = float(np.log(peaks / base).mean()) if len(peaks) else LOG_SCALE_LIMITS[1]
    return float(np.clip(mean, *LOG_SCALE_LIMITS))


def _tail(base: float, peaks: Float64, ratio: float) -> tuple[float, float]:
    """The level that 1 in `ratio` of the peaks exceeds, and the shape of the tail."""
    excess = peaks - base if len(peaks) else np.array([base])
    mean = max(float(excess.mean()), 0.01 * base)
    shape = 0.0
    if len(excess) >= MIN_SHAPED_PEAKS and excess.var() > 0:
        shape = float(np.clip((1 - mean**2 / excess.var()) / 2, *SHAPE_LIMITS))
    sigma = mean * (1 - shape)
    log_ratio = np.log(max(ratio, 1.0))
    return base + sigma * (np.expm1(shape * log_ratio) / shape if shape else log_ratio), shape
