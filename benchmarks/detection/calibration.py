"""Do budgets hold on nodes that were not trained on? `python -m benchmarks.detection.calibration --data FOLDER`.

A budget of 0.5 false alerts a node-day takes node-weeks to measure; higher ones are found by the same code and take
less. So for each of `BUDGETS` every second node trains a model, the others judge it, and the other way round; each node
is run from its first row on. Out: a Markdown table, false alerts realised ÷ asked for: of all nodes with the interval
that holds 95 % of Poisson counts, of the median node, and of the worst and the least. `chance` is what the worst node
would show in the median if every node kept the budget exactly: counts are few, so some node always looks bad.

`--part tuning` trains on the first 70 % of the train parts, and judges on whole train parts, which have no attacks;
`--part test` trains on train parts and judges on test parts. Of our own scenarios tuning takes the early rows of the
training nodes, test all nodes, split as everywhere. Only normal time counts: `benchmarks.detection` says what is found.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.stats import chi2, poisson

from benchmarks.detection import machines, scenarios, splits
from benchmarks.detection.splits import Part
from models.detectors import DEFAULT, DETECTORS
from models.measures import Found, Labelled, find
from models.run import probe, run
from models.table import Table, joined
from models.threshold import SECONDS_PER_DAY
from models.train import fit
from receiver.columns import Float64
from receiver.errors import DataError

BUDGETS = (0.5, 1.0, 5.0, 24.0)  # false alerts a node-day
SETS = ("smd", "asd", "scenarios")
WITHIN = 3.0  # a budget is kept by a node that shows at most so many times as many alerts, and at least a third


@dataclass(frozen=True, slots=True)
class Rows:
    """Of one node, to train on and to judge by."""

    node: str
    train: Table
    judge: Table


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection.calibration")
    parser.add_argument("--data", type=Path, help="folder with smd and asd; without it only our own scenarios")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS), metavar="NAME", help=", ".join(SETS))
    parser.add_argument("--detectors", nargs="+", choices=list(DETECTORS), default=[DEFAULT], metavar="NAME")
    parser.add_argument("--budgets", nargs="+", type=float, default=list(BUDGETS), metavar="ALERTS_PER_NODE_DAY")
    parser.add_argument("--part", choices=("test", "tuning"), default="test")
    given = parser.parse_args(arguments)
    columns = ["set", "detector", "asked a node-day", "node-days", "alerts", "÷ asked, all (95 %)", "median node"]
    columns += ["worst (chance)", "least", f"nodes within {WITHIN:g} ×"]
    print(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
    for name in given.sets:
        if name != "scenarios" and given.data is None:
            continue
        try:
            _measure(name, _pairs(name, given.data or Path(), given.part), given.detectors, given.budgets)
        except DataError as error:
            print(f"{name}: left out: {error}", file=sys.stderr)


def _measure(
    name: str, pairs: Sequence[tuple[Table, Table]], detectors: Sequence[str], budgets: Sequence[float]
) -> None:
    for detector in detectors:
        for budget in budgets:
            found = [one for train, judge in pairs for one in judged(train, judge, detector, budget)]
            print(f"| {name} | {detector} | {line(found, budget)} |", flush=True)


def judged(train: Table, judge: Table, detector: str, budget: float) -> list[Found]:
    """The alerts of each node under a model that never saw it."""
    score = run(probe(fit(train, detector, budget, "budget")[0]), judge).score.astype(np.float64)
    attack = np.zeros(len(judge), bool) if judge.attack is None else judge.attack
    found = []
    for index in range(len(judge.nodes)):
        rows = np.flatnonzero(judge.node == index)
        rows = rows[np.argsort(judge.time_ms[rows], kind="stable")]
        found.append(find(Labelled(judge.time_ms[rows] / 1000, score[rows], attack[rows])))
    return found


def line(found: Sequence[Found], budget: float) -> str:
    """The cells of a row."""
    days = np.array([node.normal_seconds / SECONDS_PER_DAY for node in found])
    alerts = np.array([node.false_alerts for node in found])
    ratio = alerts / days / budget
    total, asked = int(alerts.sum()), float(days.sum() * budget)
    low, high = chi2.ppf(0.025, 2 * total) / 2 if total else 0.0, chi2.ppf(0.975, 2 * total + 2) / 2
    within = int(((ratio <= WITHIN) & (ratio >= 1 / WITHIN)).sum())
    return (
        f"{budget:g} | {days.sum():.3g} | {total} | {total / asked:.2f} ({low / asked:.2f} … {high / asked:.2f}) | "
        f"{np.median(ratio):.2f} | {ratio.max():.2f} ({chance(days, budget):.2f}) | {ratio.min():.2f} | "
        f"{within} of {len(found)}"
    )


def chance(days: Float64, budget: float) -> float:
    """The median of the worst ratio among nodes [N] that raise alerts at random, at the budget's rate each."""
    highest = np.arange(int(10 + 20 * budget * days.max()))[:, None] / (days.min() * budget)
    ratios = np.unique(highest)
    at_most = np.array([poisson.cdf(np.floor(ratio * budget * days + 1e-9), budget * days).prod() for ratio in ratios])
    return float(ratios[np.argmax(at_most >= 0.5)])


def _pairs(name: str, folder: Path, part: Part) -> list[tuple[Table, Table]]:
    """Nodes to train on, and others to judge by."""
    if name == "scenarios":
        return _of_scenarios(part)
    cases = machines.smd(folder, "test") if name == "smd" else machines.asd(folder, "test")
    if part == "test":
        return halves([Rows(case.name, case.train, case.streams[0].table) for case in cases])
    return halves(
        [
            Rows(case.name, case.train.take(splits.until(len(case.train), splits.MACHINES_TUNING_TRAIN)), case.train)
            for case in cases
        ]
    )


def _of_scenarios(part: Part) -> list[tuple[Table, Table]]:
    (case,) = scenarios.own(part)
    if part == "test":
        return [(case.train, case.streams[0].table)]
    nodes = []
    for index, name in enumerate(case.train.nodes):
        rows = replace(case.train.take(case.train.node == index), nodes=(name,))
        nodes.append(Rows(name.node.rsplit("/", 1)[-1], rows, rows))  # the same node in every session
    return halves(nodes)


def halves(rows: Sequence[Rows]) -> list[tuple[Table, Table]]:
    """Every second node trains and the others judge; and the other way round."""
    names = sorted({one.node for one in rows})
    pairs = []
    for half in (0, 1):
        judging = names[half::2]
        train = [one.train for one in rows if one.node not in judging]
        pairs.append((joined(train), joined([one.judge for one in rows if one.node in judging])))
    return pairs


if __name__ == "__main__":
    main()
