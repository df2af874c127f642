"""Two models side by side, over attacks that are known and rows that the candidate has not learnt from.

In: candidate, active model and the one that ships, the recorded attacks that no model learns from, what a store has of
later, and what operators have marked. Out: `Measured` and `Floor`s for the gate, and what feedback has changed. Raises
`ModelError` where a score is not finite, and what the reader raises. Costs a run of each model over all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models import alerts, backtest
from models.backtest import Watched
from models.measures import find, part, reached
from models.retraining.gate import Floor, Measured
from models.retraining.sample import Sample
from models.run import run
from models.scenarios.known import Known
from models.table import Table
from models.threshold import SECONDS_PER_DAY
from receiver.columns import Bool, Float64, NodeName
from receiver.detector import Detector
from receiver.store import RowReader

SOON_SECONDS = 60
# Of the recorded attacks, so many more may be missed: two models that are as good differ by less, by chance.
RECALL_MARGIN = 0.1
# Below what the model that ships finds, of all attacks and of a kind. Of the dozen of a kind, two trainings on the same
# rows that draw others of them raise up to three more or fewer, so that a lesser loss says nothing.
ALL_FLOOR, KIND_FLOOR = 0.1, 0.35
# Of the attacks that operators have marked, so many may be lost; of false alarms, so many more may come back.
MARKED_MARGIN = 0.1
# Fewer false alerts than this tell two models apart by chance alone: with none in D days, 3 ÷ D is the bound.
ALERTS_OF_CHANCE = 3.0
# Both models know as much of the nodes before, though less than after a swap: more would cost more than it tells.
WARM_MS = 3_600_000
# The unit of false alerts: what makes a node alarm lasts for hours.
UNIT_MS = 6 * 3_600_000


@dataclass(frozen=True, slots=True)
class Contest:
    """Who is compared."""

    candidate: Detector
    active: Detector


@dataclass(frozen=True, slots=True)
class Marked:
    """Of intervals that operators have marked, on how many each model alerts."""

    marked: int
    active: int
    candidate: int


def replay(contest: Contest, first: Detector, known: Known) -> tuple[list[Measured], list[Floor]]:
    """Recall of the recorded attacks within `SOON_SECONDS`; what `first`, the model that ships, finds sets floors."""
    candidate, active, shipped = (_raised(model, known) for model in (contest.candidate, contest.active, first))
    what = f"recorded attacks raised within {SOON_SECONDS} s"
    units = np.ones(len(candidate))
    measured = Measured(what, candidate.astype(float), active.astype(float), units, RECALL_MARGIN, more_is_better=True)
    floors = [Floor(what, _share(candidate), _share(active), _share(shipped) - ALL_FLOOR)]
    kinds = np.array([attack.kind for _, attack in known.attacks])
    for kind in np.unique(kinds).tolist():
        mine = kinds == kind
        least = max(0.0, _share(shipped[mine]) - KIND_FLOOR)
        floors.append(
            Floor(f"{kind} raised within {SOON_SECONDS} s", _share(candidate[mine]), _share(active[mine]), least)
        )
    return [measured], floors


def later(
    contest: Contest,
    reader: RowReader,
    since_ms: int,
    until_ms: int,
    nodes: Sequence[int],
    taught: Table,
    budget: float,
) -> list[Measured]:
    """False alerts in since ≤ t < until, outside of what the candidate was taught; none where nothing is left."""
    found = []
    for model in (contest.candidate, contest.active):
        watched = backtest.watch(reader, model, since_ms - WARM_MS, until_ms, nodes=nodes)
        found.append([unit for node in watched for unit in _units(node, since_ms, taught)])
    candidate, active = (np.array([alerts for alerts, _ in units], float) for units in found)
    days = np.array([seconds for _, seconds in found[0]], float) / SECONDS_PER_DAY
    total = days.sum() if len(days) else 0.0
    if total <= 0:
        return []
    margin = max(budget, ALERTS_OF_CHANCE / total)
    what = f"false alerts a node-day, in {total:.3g} later node-days"
    return [Measured(what, candidate, active, days, margin, more_is_better=False)]


def marked(contest: Contest, sample: Sample) -> tuple[list[Measured], dict[str, Marked]]:
    """Alerts on what operators have marked: attacks, and false alarms."""
    on = [
        _alerting(run(model, sample.table).score.astype(np.float64), sample)
        for model in (contest.candidate, contest.active)
    ]
    candidate, active = on
    attack = np.array([label.attack for label in sample.labels], bool)
    there = ~np.isnan(candidate)
    measures, told = [], {}
    for name, what, chosen, more_is_better in (
        ("attacks", "marked attacks alerted on", attack & there, True),
        ("false_alarms", "marked false alarms alerted on", ~attack & there, False),
    ):
        told[name] = Marked(int(chosen.sum()), int(active[chosen].sum()), int(candidate[chosen].sum()))
        if chosen.any():
            units = np.ones(int(chosen.sum()))
            measures.append(Measured(what, candidate[chosen], active[chosen], units, MARKED_MARGIN, more_is_better))
    return measures, told


def _raised(model: Detector, known: Known) -> Bool:
    """Which of the recorded attacks are raised soon [E]."""
    score = run(model, known.table).score.astype(np.float64)
    raised = np.zeros(len(known.attacks), bool)
    for node in range(len(known.table.nodes)):
        mine = [number for number, (on, _) in enumerate(known.attacks) if on == node]
        rows = np.flatnonzero(known.table.node == node)
        rows = rows[np.argsort(known.table.time_ms[rows], kind="stable")]
        start, end = (
            np.array([getattr(known.attacks[number][1], when) / 1000 for number in mine])
            for when in ("start_ms", "end_ms")
        )
        after, _ = reached(known.table.time_ms[rows] / 1000, alerts.find(score[rows]), start, end)
        raised[mine] = after <= SOON_SECONDS
    return raised


def _units(node: Watched, since_ms: int, taught: Table) -> list[tuple[int, float]]:
    """False alerts and normal seconds of each `UNIT_MS` of a node."""
    first = np.array([number for number, name in enumerate(taught.nodes) if name == node.name], np.int32)
    known = np.isin(node.time_ms, taught.time_ms[np.isin(taught.node, first)])
    counted = (node.time_ms >= since_ms) & ~known
    labelled = node.labelled()
    units = []
    for unit in np.unique(node.time_ms[counted] // UNIT_MS):
        found = find(part(labelled, counted & (node.time_ms // UNIT_MS == unit)))
        units.append((found.false_alerts, found.normal_seconds))
    return units


def _alerting(score: Float64, sample: Sample) -> Float64:
    """Whether an alert is open in each label's interval [L]: 1, 0, or NaN where it has no row."""
    table, found = sample.table, np.full(len(sample.labels), np.nan)
    number_of = {name: number for number, name in enumerate(table.nodes)}
    said_of: dict[NodeName, tuple[Bool, Bool]] = {}
    for place, label in enumerate(sample.labels):
        first, after = np.searchsorted(table.node, [number_of[label.name], number_of[label.name] + 1])
        time_ms = table.time_ms[first:after]
        inside = (time_ms >= label.start_ms) & (time_ms <= label.end_ms)
        if label.name not in said_of:
            said_of[label.name] = backtest.said(time_ms, [one for one in sample.labels if one.name == label.name])
        attack, normal = said_of[label.name]
        inside &= attack if label.attack else normal  # where no newer label says otherwise
        if inside.any():
            opened = alerts.find(score[first:after])
            row = np.flatnonzero(inside)
            found[place] = bool(
                (np.searchsorted(row, opened.raised) < np.searchsorted(row, opened.last, "right")).any()
            )
    return found


def _share(raised: Bool) -> float:
    return float(raised.mean()) if len(raised) else 0.0
