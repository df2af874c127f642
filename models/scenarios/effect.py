"""What an attack does to the features of its node: each feature's level during it, beside its quiet level.

In: a recorded session. Out: per episode a `Moved` for each feature, the most moved first. Quiet are the node's rows
outside of its episodes and of `AFTERMATH_MS` after each. For people who look at recordings; detectors use none of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.scenarios.dataset import Attacked, attacked_rows, episodes
from models.table import Table, read
from receiver.columns import Bool

AFTERMATH_MS = 60_000
SIGMAS_PER_QUARTILE_RANGE = 1 / 1.349  # of a normal distribution
LEAST_SCALE = 0.01  # of the quiet level, where a feature stands still otherwise


@dataclass(frozen=True)
class Moved:
    """A feature in an episode."""

    feature: str
    before: float  # median of the quiet rows
    attacked: float  # median of the episode's rows
    sigmas: float  # between the two, in robust standard deviations of the quiet rows


def effect(session: Path) -> list[Moved]:
    """Of the first episode of a session."""
    return moved(read(session), episodes(session), 0)


def moved(table: Table, found: Sequence[Attacked], number: int) -> list[Moved]:
    """Of one of the episodes of a table."""
    episode = found[number]
    rows = table.x[attacked_rows(table, [episode])]
    quiet = table.x[quiet_rows(table, found, episode.node)]
    if not len(rows) or not len(quiet):
        return []
    result = []
    for column, feature in enumerate(table.features):
        inside, outside = rows[:, column], quiet[:, column]
        inside, outside = inside[np.isfinite(inside)], outside[np.isfinite(outside)]
        if not len(inside) or not len(outside):
            continue
        low, before, high = np.percentile(outside, (25, 50, 75))
        attacked = float(np.median(inside))
        scale = max((high - low) * SIGMAS_PER_QUARTILE_RANGE, LEAST_SCALE * abs(before), 1e-9)
        result.append(Moved(feature, float(before), attacked, float((attacked - before) / scale)))
    return sorted(result, key=lambda one: -abs(one.sigmas))


def quiet_rows(table: Table, found: Sequence[Attacked], node: str) -> Bool:
    """Rows of a node outside of its episodes and their aftermath [R]."""
    longer = [
        Attacked(one.node, one.kind, one.strength, one.start_ms, one.end_ms + AFTERMATH_MS, one.seed) for one in found
    ]
    numbers = [number for number, name in enumerate(table.nodes) if name.node == node]
    quiet: Bool = np.isin(table.node, numbers) & ~attacked_rows(table, longer)
    return quiet
