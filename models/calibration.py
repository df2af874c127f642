"""How high a detector's threshold must be, by rows that it was not fitted to.

In: a table in time order, labels or none, and what fits a detector to a table. Out: a level of the detector's measure,
and how it was found, for the card. Raises `DataError`. Costs, for a budget, a fit for each part, with what the whole
has found by judging its parts, and `ROUNDS` runs of each.

**For a budget** the table is cut into parts, and each is judged by a detector that was fitted to the others: parts are
nodes, since those to come will not be those that were seen; where there are too few, they are times. So all quiet time
counts, and none of it was seen. Attacks are cut out, for a detector would learn them before there is a threshold. One
that learnt how likely an attack is stands still in them from the first, so it runs through them, and what is near them
is not counted. The threshold decides when baselines stand still, so it acts on the scores that it is found by: it is
found, built in, and found once more. Where the detector knows what attacks reach, a tail beyond all that normal rows
had goes no further than that.

**For accuracy** rows are split by time: the first `FIT_PART` fit, the others choose. A detector that learnt how likely
an attack is needs no choice: its threshold is where both are as likely, whatever workload comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from models import threshold
from models.detectors.build import Build
from models.measures import FALSE_AFTER_SECONDS, FALSE_BEFORE_SECONDS
from models.own_threshold import NEVER_ALARMS, Alarm
from models.run import Progress, probe, run
from models.table import Table
from receiver.alerts import OF_ROWS, OVER_ROWS
from receiver.columns import Bool, Float64
from receiver.errors import DataError

Learn = Callable[[Table], Build]
# A detector fitted to fewer rows knows nothing, a threshold found on fewer holds nothing.
MIN_NORMAL_ROWS = 100
# Nodes make so many parts: with fewer, those that judge have seen much less than the detector that is calibrated, and
# threshold and misses rise. Fewer nodes than `LEAST_NODES` are not told apart, but times.
NODE_PARTS, LEAST_NODES, TIME_PARTS = 5, 3, 3
# Of the rows in time order, so many fit where the others choose the best accuracy.
FIT_PART = 0.7
ROUNDS = 2


@dataclass(frozen=True, slots=True)
class _Fold:
    """A part of the table, and who judges it."""

    build: Build  # fitted to the other parts
    run: Table  # what it runs through, from the first row of each node
    counted: Bool  # [R] of these rows: those of the part at which an alert would be false


def for_budget(
    table: Table,
    learn: Learn,
    whole: Build,
    per_node_day: float,
    progress: Progress,
    typical: Bool | None = None,
    excused: Bool | None = None,
) -> tuple[float, dict[str, Any]]:
    """The level at which normal rows raise so many false alerts; `whole` is the detector fitted to all rows.

    Only `typical` rows [R] count, where they are given: what was chosen for its alerts says nothing of how often
    there are some. `excused` ones [R] count as `whole` judges them, which has seen them.
    """
    calm = _normal(table) if whole.even is None else quiet(table)
    counted = calm if typical is None else calm & typical
    if counted.sum() < MIN_NORMAL_ROWS:
        counted = _normal(table)
    folds = list(_folds(table, learn, whole, counted))
    taught = np.zeros(len(table), bool) if excused is None else excused & calm & ~counted
    if taught.any():
        folds.append(_Fold(whole, *_through(table, whole, taught)))
    level, lowest = NEVER_ALARMS if whole.even is None else whole.even, whole.least
    for _ in range(ROUNDS):
        nodes = [node for fold in folds for node in _judged(fold, level, progress)]
        found = threshold.for_budget(nodes, per_node_day)
        highest = np.inf if whole.most is None else max(whole.most, found.highest_score)
        # A baseline that stands still lets scores rise: the lower of two thresholds would break the budget.
        level = lowest = max(lowest, min(found.threshold, highest))
    how = found.card()
    if level != found.threshold:
        # The card speaks of the threshold that is used, not of the one that the data alone would have given.
        seen = threshold.count(nodes, level)
        how |= {
            "method": "most" if level < found.threshold else "least" if level == whole.least else "first round",
            "calibrated_threshold": found.threshold,
            "alerts": seen,
            "bound_95_per_node_day": threshold.rate_bound(seen, found.node_days),
        }
    return level, how | {
        "threshold": level,
        "alert": f"{OVER_ROWS} of {OF_ROWS} rows",
        "parts": sum(fold.build is not whole for fold in folds),
    }


def for_accuracy(table: Table, learn: Learn, progress: Progress) -> tuple[Build, float, dict[str, Any]]:
    """The detector, and the level over which rows are best called attacks."""
    later = table.time_ms > table.time_ms[int(FIT_PART * (len(table) - 1))]
    attack = table.attack
    if attack is None or not attack[later].any() or attack[later].all():
        raise DataError(f"--objective accuracy needs rows with attack 0 and with 1 in the last {1 - FIT_PART:.0%}")
    build = learn(table.take(~later))
    if build.even is not None:
        called = run(probe(build.at(Alarm(build.even))), table, progress).score > 1
        accuracy = float((called == attack)[later].mean())
        return learn(table), build.even, {"threshold": build.even, "accuracy": accuracy, "rows": int(later.sum())}
    # Its threshold lies between two classes of scores: it keeps the fit that these came from.
    best, level = (-1.0, 1.0), NEVER_ALARMS
    for _ in range(ROUNDS + 1):
        score = _measured(build, table, level, progress)
        if level != NEVER_ALARMS:
            best = max(best, (float(((score > level) == attack)[later].mean()), level))
        level = threshold.for_accuracy(score[later], attack[later])
    accuracy, level = best
    return build, level, {"threshold": level, "accuracy": accuracy, "rows": int(later.sum())}


def quiet(table: Table) -> Bool:
    """Rows [R] at which an alert would be false: those near no attack of their node."""
    quiet = np.ones(len(table), bool)
    if table.attack is None:
        return quiet
    order = np.lexsort((table.time_ms, table.node))
    for rows in np.split(order, np.flatnonzero(np.diff(table.node[order])) + 1):
        seconds, attack = table.time_ms[rows] / 1000, table.attack[rows]
        at = seconds[attack]
        before = np.searchsorted(at, seconds - FALSE_AFTER_SECONDS)
        quiet[rows] = before == np.searchsorted(at, seconds + FALSE_BEFORE_SECONDS, side="right")
    return quiet


def nodes_of(table: Table, score: Float64) -> list[threshold.Node]:
    """The scores [R] of a table by node, each in time order."""
    order = np.lexsort((table.time_ms, table.node))
    cuts = np.flatnonzero(np.diff(table.node[order])) + 1
    return [threshold.Node(table.time_ms[rows] / 1000, score[rows]) for rows in np.split(order, cuts) if len(rows)]


def _folds(table: Table, learn: Learn, whole: Build, counted: Bool) -> Iterator[_Fold]:
    """Every part that the others can be fitted without; all of the table by `whole` where there is no such part."""
    normal = _normal(table)
    judged_any = False
    fit_again = whole.again or learn
    for part in _parts(table):
        if (normal & ~part).sum() < MIN_NORMAL_ROWS or not (counted & part).any():
            continue
        try:
            build = fit_again(table.take(~part))
        except DataError:
            continue  # the others have too few attacks to learn from
        if (build.even is None) != (whole.even is None):
            continue  # for the same reason it is another detector
        judged_any = True
        yield _Fold(build, *_through(table, whole, counted & part))
    if not judged_any:
        yield _Fold(whole, *_through(table, whole, counted))


def _through(table: Table, whole: Build, counted: Bool) -> tuple[Table, Bool]:
    """What a detector like `whole` runs through to come to these rows [R], and which of that they are."""
    runs_through = _normal(table) if whole.even is None else np.ones(len(table), bool)
    runs_through &= (table.time_ms <= table.time_ms[counted].max()) & np.isin(table.node, table.node[counted])
    return table.take(runs_through), counted[runs_through]


def _normal(table: Table) -> Bool:
    return np.ones(len(table), bool) if table.attack is None else ~table.attack


def _parts(table: Table) -> Iterator[Bool]:
    """The rows [R] of each part."""
    nodes = np.unique(table.node)
    if len(nodes) >= LEAST_NODES:
        for first in range(min(NODE_PARTS, len(nodes))):
            yield np.isin(table.node, nodes[first::NODE_PARTS])
    else:
        number = np.arange(len(table)) * TIME_PARTS // len(table)
        for part in range(TIME_PARTS):
            yield number == part


def _judged(fold: _Fold, level: float, progress: Progress) -> list[threshold.Node]:
    score = _measured(fold.build, fold.run, level, progress)
    return nodes_of(fold.run.take(fold.counted), score[fold.counted])


def _measured(build: Build, table: Table, level: float, progress: Progress) -> Float64:
    """The measure of rows [R] in their order, baselines standing still above the level."""
    return run(probe(build.at(Alarm(level))), table, progress).score.astype(np.float64) * level
