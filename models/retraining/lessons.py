"""What each row teaches: attacks that operators have marked, false alarms, and what nobody has spoken of.

In: a `Sample`, and the recorded attacks of the project, if the catalogue has their features. Out: `Lessons`, a table
with labels and weights. Costs some passes over the rows.

- A row inside of a label is what the label says; of two labels the newer one holds. Each label weighs `LABEL_SHARE` of
  all that teaches, however short it is, since it was worth somebody's attention; all of them `LABELS_SHARE` at most.
- A row that nobody has spoken of is normal, and teaches the less the nearer its score was to an alarm: attacks that
  nobody has marked do not become normal. In and around an alert that nobody has judged, it teaches nothing.
- How often alerts are false is counted on rows that were drawn, whatever was said of them: those around labels were
  not drawn, and are not typical.
- The rows of the store weigh as much together as the recorded ones do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from models import alerts
from models.backtest import said
from models.measures import FALSE_AFTER_SECONDS, FALSE_BEFORE_SECONDS
from models.retraining.sample import Sample
from models.scenarios.known import joined
from models.table import Table
from receiver.columns import Bool, Float64, Int64, NodeName
from receiver.store import Label

# Of what teaches, each label; all labels together, at most.
LABEL_SHARE, LABELS_SHARE = 0.02, 0.5


@dataclass(frozen=True, slots=True)
class Lessons:
    """R rows that teach."""

    table: Table  # with `attack` and `weight`
    typical: Bool  # [R] alerts are counted here
    marked: Bool  # [R] an operator has spoken of this row


def of(sample: Sample, known: Table | None) -> Lessons:
    """The sample's rows, and the recorded ones behind them."""
    table = sample.table
    attack, weight = np.zeros(len(table), bool), np.zeros(len(table))
    marked = np.zeros(len(table), bool)
    labels_of: dict[NodeName, list[Label]] = {}
    for label in sample.labels:
        labels_of.setdefault(label.name, []).append(label)
    spoken: list[Int64] = []
    for number, name in enumerate(table.nodes):
        first, after = np.searchsorted(table.node, [number, number + 1])
        own = slice(int(first), int(after))
        labels = labels_of.get(name, [])
        attack[own], normal = said(table.time_ms[own], labels)
        marked[own] = attack[own] | normal
        weight[own] = _unspoken(table.time_ms[own] / 1000, sample.score[own].astype(np.float64))
        spoken += [own.start + rows for rows in _rows_of(labels, table.time_ms[own])]
    known_rows = 0 if known is None else len(known)
    _weigh(weight, marked, spoken, known_rows)
    taught = replace(table, attack=attack, weight=weight.astype(np.float32))
    typical = sample.drawn & ~attack
    if known is None:
        return Lessons(taught, typical, marked)
    behind = replace(
        known, node=known.node + len(table.nodes), weight=np.ones(known_rows, np.float32), attack=known.attack
    )
    nothing = np.zeros(known_rows, bool)
    both = replace(joined([taught, behind]), weight=np.concatenate([weight, np.ones(known_rows)]).astype(np.float32))
    return Lessons(both, np.concatenate([typical, ~nothing]), np.concatenate([marked, nothing]))


def _unspoken(seconds: Float64, score: Float64) -> Float64:
    """What rows [R] of a node teach that nobody has spoken of, 0 to 1."""
    weight = np.clip(1 - score, 0, 1)
    found = alerts.find(score)
    for raised, last in zip(found.raised, found.last, strict=True):
        weight[
            (seconds >= seconds[raised] - FALSE_BEFORE_SECONDS) & (seconds <= seconds[last] + FALSE_AFTER_SECONDS)
        ] = 0
    return weight


def _rows_of(labels: list[Label], time_ms: Int64) -> list[Int64]:
    """The rows of each label that has any."""
    found = [np.flatnonzero((time_ms >= label.start_ms) & (time_ms <= label.end_ms)) for label in labels]
    return [rows for rows in found if len(rows)]


def _weigh(weight: Float64, marked: Bool, spoken: list[Int64], known_rows: int) -> None:
    """Have rows nobody has spoken of weigh as much as recorded ones, and labels their share of both."""
    unspoken = weight[~marked].sum()
    if known_rows and unspoken:
        weight *= known_rows / unspoken
    usual = weight[~marked].mean() if unspoken else 1.0
    weight[marked] = 0
    total = weight.sum() + known_rows or 1.0
    share = min(LABEL_SHARE, LABELS_SHARE / max(1, len(spoken)))
    for rows in spoken:
        weight[rows] = np.maximum(weight[rows], max(usual, share * total / len(rows)))
