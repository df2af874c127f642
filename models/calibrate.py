"""Where 1.0 lies: the level of a detector's measure for a budget of false alerts, or for telling rows apart.

In: a `Build` fitted to the rows up to a time, and a table that goes on after it. Out: the level, and what it rests on,
for the card. Raises `DataError` where the later part shows nothing. Costs a run over the table for each round.

The model runs through all rows as it would have, and those after the time count. A detector that knows normal rows only
does not see labelled attacks: they are cut out, since what it learns of them depends on the level that is looked for.
One that learnt what an attack is runs through them, and rows near one (as `models.measures` has it) do not count.

The level also decides when baselines stand still, so it acts on the scores that it is found by: it is found, built in,
and found once more.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from models import threshold
from models.alerts import OF_ROWS, OVER_ROWS
from models.detectors.build import Build
from models.measures import FALSE_AFTER_SECONDS, FALSE_BEFORE_SECONDS
from models.own_threshold import NEVER_ALARMS, Alarm
from models.run import Progress, probe, run
from models.table import Table
from models.threshold import Budget, Node
from receiver.columns import Bool, Float64
from receiver.errors import DataError

ROUNDS = 2


def for_budget(
    build: Build, table: Table, split_ms: int, per_node_day: float, progress: Progress
) -> tuple[float, dict[str, Any]]:
    """The level at which normal rows after `split_ms` raise so many false alerts a node-day."""
    watched = table.normal() if build.even is None else table
    counts = (watched.time_ms > split_ms) & ~near_attack(watched)
    level = NEVER_ALARMS if build.even is None else build.even
    for number in range(ROUNDS):
        nodes = nodes_of(watched.take(counts), _measure(build, watched, level, progress)[counts])
        found = threshold.for_budget(nodes, per_node_day)
        level, why = _bounded(build, found, level if number else None)
    how = found.card()
    if why is not None:
        # The card speaks of the level that is used, not of the one that the data alone would have given.
        seen = threshold.count(nodes, level)
        how |= {
            "method": why,
            "calibrated_threshold": found.threshold,
            "alerts": seen,
            "bound_95_per_node_day": threshold.rate_bound(seen, found.node_days),
        }
    return level, how | {"threshold": level, "alert": f"{OVER_ROWS} of {OF_ROWS} rows"}


def for_accuracy(build: Build, table: Table, split_ms: int, progress: Progress) -> tuple[float, dict[str, Any]]:
    """The level that tells most rows after `split_ms` apart.

    A detector that learnt how likely an attack is needs no search: its level is where both are as likely, whatever
    workload comes.
    """
    attack, later = table.attack, table.time_ms > split_ms
    if attack is None or not attack[later].any() or attack[later].all():
        raise DataError("--objective accuracy needs rows with attack 0 and with 1 in the part that sets the threshold")
    if build.even is not None:
        called = _measure(build, table, build.even, progress) > build.even
        return build.even, _told_apart(build.even, float((called == attack)[later].mean()), later)
    best, level = (-1.0, 1.0), NEVER_ALARMS
    for _ in range(ROUNDS + 1):
        measure = _measure(build, table, level, progress)
        if level != NEVER_ALARMS:
            best = max(best, (float(((measure > level) == attack)[later].mean()), level))
        level = threshold.for_accuracy(measure[later], attack[later])
    accuracy, level = best
    return level, _told_apart(level, accuracy, later)


def nodes_of(table: Table, score: Float64) -> list[Node]:
    """The scores [R] of a table by node, each in time order."""
    order = np.lexsort((table.time_ms, table.node))
    cuts = np.flatnonzero(np.diff(table.node[order])) + 1
    return [Node(table.time_ms[rows] / 1000, score[rows]) for rows in np.split(order, cuts) if len(rows)]


def near_attack(table: Table) -> Bool:
    """Rows [R] in, shortly before or after a labelled attack on their node: alerts there are no false ones."""
    near = np.zeros(len(table), np.bool_)
    if table.attack is None:
        return near
    before_ms, after_ms = int(1000 * FALSE_BEFORE_SECONDS), int(1000 * FALSE_AFTER_SECONDS)
    for node in np.unique(table.node[table.attack]):
        own = np.flatnonzero(table.node == node)
        attacked_ms = np.sort(table.time_ms[own][table.attack[own]])
        # An attack row lies in [t − after, t + before].
        first = np.searchsorted(attacked_ms, table.time_ms[own] - after_ms, side="left")
        near[own] = first < np.searchsorted(attacked_ms, table.time_ms[own] + before_ms, side="right")
    return near


def _measure(build: Build, table: Table, level: float, progress: Progress) -> Float64:
    measure: Float64 = run(probe(build.at(Alarm(level))), table, progress).score.astype(np.float64) * level
    return measure


def _bounded(build: Build, found: Budget, before: float | None) -> tuple[float, str | None]:
    """The level found, within what the detector knows of levels; and why, where it is not the one found.

    `before` is the level of the round before.
    """
    lowest, why = build.least, "least"
    if build.even is None and before is not None and before > build.least:
        # A baseline that stands still lets scores rise: the lower of two levels would break the budget.
        lowest, why = before, "first round"
    if found.threshold < lowest:
        return lowest, why
    if build.most is not None and found.threshold > max(build.most, found.highest_score):
        return max(build.most, found.highest_score), "most"
    return found.threshold, None


def _told_apart(level: float, accuracy: float, later: Bool) -> dict[str, Any]:
    return {"threshold": level, "accuracy": accuracy, "rows": int(later.sum())}
