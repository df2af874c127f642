"""What each row teaches: attacks that operators have marked, false alarms, and what nobody has spoken of.

In: a `Sample`, and the recorded attacks of the project, if the catalogue has their features. Out: `Lessons`, a table
with labels and weights. Costs some passes over the rows.

- A row inside of a label is what the label says; of two labels the newer one holds. Each label weighs `LABEL_SHARE` of
  all that teaches, however short it is, since it was worth somebody's attention; so do those together that an alert
  is parted into (an attack, and what was none of it); all of them `LABELS_SHARE` at most.
- A row that nobody has spoken of is normal, and teaches the less the nearer its score was to an alarm: attacks that
  nobody has marked do not become normal. In and around an alert that nobody has judged, it teaches nothing.
- How far that goes, audits say, which are labels of rows below the threshold: where every second one finds an attack,
  what nobody has spoken of teaches nothing. Where some find attacks, what was audited stands for all of these rows that
  is not believed, be it for that or for their scores (weights by the inverse of how likely a row was to be looked at:
  Horvitz and Thompson 1952), so that attacks weigh as much beside normal rows as there are; and what looks like a
  marked one is taken for one where baselines learn (`suspects`), and teaches nothing else.
- How often alerts are false is counted on rows that were drawn: those around labels were not, and are not typical.
  Where operators judge alerts, one that they have not judged is not counted, for it may be right: counted as false, it
  would have the next model miss its like. One that they called false is counted where the model that was taught it
  raises it still: one that has not seen it would. Where nobody judges any, all are counted, since most alerts of most
  clusters are false.
- The rows of the store weigh as much together as the recorded ones do, once they are as many; until then each weighs as
  much as a recorded one: what a new installation shows in its first hours is no half of what it will see. Labels add.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from models import alerts
from models.backtest import said
from models.measures import FALSE_AFTER_SECONDS, FALSE_BEFORE_SECONDS
from models.retraining import suspects
from models.retraining.sample import Sample
from models.table import Table, joined
from receiver.columns import Bool, Float32, Float64, Int64, NodeName
from receiver.store import Label

# Of what teaches beside labels, each label, however short; so many that all of them would weigh more, share that.
LABEL_SHARE, LABELS_SHARE = 0.02, 0.5
# Of audits that found nothing: fewer are no habit, and reports of missed attacks alone say nothing of the rest.
LEAST_CALM_AUDITS = 5
# What nobody has spoken of still shows how rows scatter, however little it is believed.
LEAST_TRUST = 1e-3


@dataclass(frozen=True, slots=True)
class Lessons:
    """R rows that teach."""

    table: Table  # with `attack` and `weight`
    typical: Bool  # [R] alerts are counted here
    excused: Bool  # [R] and here, as far as they go on: they were called false, and taught as such


def of(sample: Sample, known: Table | None) -> Lessons:
    """The sample's rows, and the recorded ones behind them."""
    table = sample.table
    attack, marked = np.zeros(len(table), bool), np.zeros(len(table), bool)
    unspoken, alerted = np.zeros(len(table)), np.zeros(len(table), bool)
    labels_of: dict[NodeName, list[Label]] = {}
    for label in sample.labels:
        labels_of.setdefault(label.name, []).append(label)
    spoken: list[_Spoken] = []
    for number, name in enumerate(table.nodes):
        own = slice(*np.searchsorted(table.node, [number, number + 1]).tolist())
        time_ms, score = table.time_ms[own], sample.score[own].astype(np.float64)
        labels = labels_of.get(name, [])
        attack[own], normal = said(time_ms, labels)
        marked[own] = attack[own] | normal
        alerted[own] = _around_alerts(time_ms / 1000, score)
        unspoken[own] = np.where(alerted[own], 0, np.clip(1 - score, 0, 1))
        spoken += _spoken(labels, time_ms, score, own.start)
    unseen = sample.score <= 1
    for one in spoken:
        unseen[one.rows] &= one.audit
    unspoken[marked] = 0
    trusted = _trusted(spoken)
    unspoken *= trusted
    believed, doubted = float(unspoken.sum()), 0.0
    if trusted < 1:
        doubted = float(unseen.sum()) - believed
        suspect = suspects.find(table, marked, attack)
        attack |= suspect
        unspoken[suspect] = 0
    weight = _weighed(unspoken, believed, doubted, spoken, 0 if known is None else len(known))
    taught = replace(table, attack=attack, weight=weight)
    typical, excused = sample.drawn & ~attack, np.zeros(len(table), bool)
    if any(not one.audit for one in spoken):
        excused = typical & alerted & marked
        typical &= ~alerted
    if known is None:
        return Lessons(taught, typical, excused)
    both = replace(joined([taught, known]), weight=np.concatenate([weight, np.ones(len(known), np.float32)]))
    of_known = np.ones(len(known), bool)
    return Lessons(both, np.concatenate([typical, of_known]), np.concatenate([excused, ~of_known]))


@dataclass(frozen=True, slots=True)
class _Spoken:
    """A label that has rows, or several that part an alert between them: what took somebody's attention once."""

    rows: Int64
    attack: bool
    audit: bool  # it touches no alert, and none of its rows was over the threshold


def _around_alerts(seconds: Float64, score: Float64) -> Bool:
    """Which rows [R] of a node lie in or near an alert, which makes them say nothing by themselves."""
    around = np.zeros(len(score), bool)
    found = alerts.find(score)
    for raised, last in zip(found.raised, found.last, strict=True):
        around |= (seconds >= seconds[raised] - FALSE_BEFORE_SECONDS) & (seconds <= seconds[last] + FALSE_AFTER_SECONDS)
    return around


def _spoken(labels: list[Label], time_ms: Int64, score: Float64, first: int) -> list[_Spoken]:
    """What is said of a node, whose rows are numbered from `first` on: what an alert is parted into is one answer."""
    raised = alerts.find(score)
    found: list[_Spoken] = []
    place, last_alert = 0, -1  # of the answer to an alert that was found last, and the last alert that it is of
    for label in sorted(labels, key=lambda label: label.start_ms):
        rows = first + np.flatnonzero((time_ms >= label.start_ms) & (time_ms <= label.end_ms))
        if not len(rows):
            continue
        (touched,) = np.nonzero((first + raised.raised <= rows[-1]) & (first + raised.last >= rows[0]))
        if len(touched) and touched[0] <= last_alert and rows[0] >= found[place].rows[-1]:
            found[place] = replace(found[place], rows=np.union1d(found[place].rows, rows))
        else:
            audit = not len(touched) and not (score[rows - first] > 1).any()
            place = len(found) if len(touched) else place
            found.append(_Spoken(rows, label.attack, audit))
        last_alert = int(touched[-1]) if len(touched) else last_alert
    return found


def _weighed(unspoken: Float64, believed: float, doubted: float, spoken: list[_Spoken], known_rows: int) -> Float32:
    """The weights [R] of the store's rows, of which nobody has spoken of those with a weight in `unspoken`.

    These, suspect or not, are as much as `believed` rows; for the `doubted` rest below the threshold audits stand.
    """
    total = believed + doubted
    judged = sum(len(one.rows) for one in spoken if not (one.audit and doubted))
    each = min(1.0, known_rows / (total + judged)) if known_rows and total + judged else 1.0
    weight = each * unspoken
    audited = sum(len(one.rows) for one in spoken if one.audit)
    stands_for = each * doubted / audited if audited else 0.0
    share = min(LABEL_SHARE, LABELS_SHARE / max(1, len(spoken))) * (each * total + known_rows)
    for one in spoken:
        usual = max(each, stands_for) if one.audit else each
        weight[one.rows] = np.maximum(weight[one.rows], max(usual, share / len(one.rows)))
    return weight.astype(np.float32)


def _trusted(spoken: list[_Spoken]) -> float:
    """How far rows that nobody has spoken of are normal, 0 to 1."""
    audits = [one.attack for one in spoken if one.audit]
    if len(audits) - sum(audits) < LEAST_CALM_AUDITS:
        return 1.0
    return max(LEAST_TRUST, 1 - 2 * sum(audits) / len(audits))
