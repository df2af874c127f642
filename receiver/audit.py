"""What is offered for a look below the threshold: a few moments of a day that no alert has pointed at.

Labels on alerts alone hide what the alerts miss. Of a day, those who audit get the moments with the highest scores that
are not over the threshold, of different nodes, and some moments of no merit at all, which say how good the rest is.

Everybody gets the same ones, as long as the store has the same rows: the day is the seed, and a label leaves a moment
out only where it was made before the day was over. Not all rows of the day are looked at: `windows` gives a window of
each half hour, as long as `NODE_MS` divided by the nodes, which is the whole half hour of up to 55 nodes. Pure; raises
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from receiver.columns import NodeName, Scores
from receiver.store import Label, Peak

DAY_MS = 24 * 3_600_000
SLICE_MS = 30 * 60_000
# Of a window's length times the nodes: 20 s of 5,000 nodes, whose 10,000 rows take some 10 ms to look through.
NODE_MS = 100_000_000
HIGHEST = 6
DRAWN = 4
# Beyond a moment, of the interval that its form is filled in with.
AROUND_MS = 60_000

Reason = Literal["highest", "random"]


@dataclass(frozen=True, slots=True)
class Offer:
    """A moment that somebody should look at, and why."""

    name: NodeName
    time_ms: int
    score: float
    reason: Reason


def windows(day_ms: int, nodes: int) -> list[tuple[int, int]]:
    """The windows of the day that begins then: of each the first time, and the one after its last."""
    length_ms = min(SLICE_MS, NODE_MS // max(nodes, 1))
    starts = np.arange(day_ms, day_ms + DAY_MS, SLICE_MS)
    starts += _random(day_ms).integers(0, SLICE_MS - length_ms + 1, len(starts))
    return [(start_ms, start_ms + length_ms) for start_ms in starts.tolist()]


def highest(peaks: Iterable[Peak], labels: Sequence[Label], day_ms: int) -> list[Offer]:
    """The highest of them, one of each node."""
    found: dict[NodeName, Offer] = {}
    for peak in sorted(peaks, key=lambda peak: (-peak.score, peak.time_ms, peak.name)):
        if peak.name not in found and not _said(labels, peak.name, peak.time_ms, day_ms + DAY_MS):
            found[peak.name] = Offer(peak.name, peak.time_ms, peak.score, "highest")
    return list(found.values())[:HIGHEST]


def instants(day_ms: int) -> Iterator[int]:
    """Times of the day by chance: rows from there on are drawn from, until there are enough."""
    slices = np.arange(DAY_MS // SLICE_MS)
    random = _random(day_ms + 1)
    for start_ms in (random.permutation(slices) * SLICE_MS).tolist():
        yield day_ms + start_ms + int(random.integers(0, SLICE_MS))


def drawn(scores: Scores, names: dict[int, NodeName], labels: Sequence[Label], day_ms: int, at_ms: int) -> Offer | None:
    """One row by chance of those from an instant on; None where it was over the threshold, or spoken of."""
    if not len(scores):
        return None
    row = int(_random(at_ms).integers(0, len(scores)))
    name, time_ms, score = names[int(scores.node[row])], int(scores.time_ms[row]), float(scores.score[row])
    if not score <= 1.0 or _said(labels, name, time_ms, day_ms + DAY_MS):
        return None
    return Offer(name, time_ms, score, "random")


def answer_to(offer: Offer, labels: Iterable[Label]) -> Label | None:
    """The label that speaks of the moment, the one made last where several do."""
    found = [one for one in labels if one.name == offer.name and one.start_ms <= offer.time_ms <= one.end_ms]
    return max(found, key=lambda one: one.created_ms, default=None)


def _said(labels: Iterable[Label], name: NodeName, time_ms: int, before_ms: int) -> bool:
    return any(
        one.name == name and one.start_ms <= time_ms <= one.end_ms and one.created_ms < before_ms for one in labels
    )


def _random(seed_ms: int) -> np.random.Generator:
    return np.random.default_rng(seed_ms)
