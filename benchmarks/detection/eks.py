"""Nodes of EKS under attack (Darwesh, Hammoud, Vorobeva): three workloads, labelled rows of some 2.3 s.

In: `eks-node/node_<workload>_eks_dev_us.csv`. Out: cases. Raises `DataError` where a file is not as it was published.

The files hold the rise of each counter since the last look, which was 2 s before (idle time never rises by more);
made a rate by that, they are what a detector sees in service. The time stamps are whole seconds: a rate by their
differences would be noise. `est_conn` and `lis_conn` are −1 and drops and errors 0 throughout, which is what the
agent writes for "not there": they are missing here. The number of CPUs is not known, so load is as it was.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.detection import splits
from benchmarks.detection.cases import Case, Stream, node_table, spliced, thinned, whole, without_labels
from benchmarks.detection.splits import Part
from models import table as tables
from models.table import Table, joined
from receiver.catalogue import load as load_catalogue
from receiver.columns import Bool
from receiver.errors import DataError

LOOK_SECONDS = 2.0
NOT_COLLECTED = ("receive_drop", "receive_errs", "est_conn", "lis_conn")


def nodes(folder: Path, part: Part) -> dict[str, Table]:
    """The table of each workload, for tuning the first part of it."""
    found = {}
    for path in sorted((folder / "eks-node").glob("node_*.csv")):
        name = path.stem.removeprefix("node_").removesuffix("_eks_dev_us")
        table = _read(path, name)
        found[name] = table.take(splits.until(len(table), splits.EKS_TUNING)) if part == "tuning" else table
    if len(found) < 2:
        raise DataError(f"{folder / 'eks-node'}: fewer than two workloads: none can be left out")
    return found


def one_workload_out(folder: Path, part: Part) -> list[Case]:
    """Trained on the other workloads for accuracy; whole, and with attacks cut and thinned by the same model."""
    found, cases = nodes(folder, part), []
    for name, table in found.items():
        attack = labels(table)
        few = thinned(attack, splits.THINNED_ATTACK_SHARE)
        cut = whole("attacks cut", spliced(table, ~attack))
        train = joined([other for workload, other in found.items() if workload != name])
        thin = whole("attacks thinned", spliced(table, few))
        cases.append(Case(name, train, "accuracy", (_stream(table, part), cut, thin)))
    return cases


def in_time(folder: Path, part: Part) -> list[Case]:
    """One model of all workloads, trained for accuracy on what came before."""
    found = nodes(folder, part).values()
    early = [splits.until(len(table), splits.EKS_TIME_TRAIN) for table in found]
    train = joined([table.take(rows) for table, rows in zip(found, early, strict=True)])
    stream = Stream("last 20 %", joined(list(found)), {"last 20 %": ~np.concatenate(early)})
    return [Case("all", train, "accuracy", (stream,))]


def unsupervised(folder: Path, part: Part) -> list[Case]:
    """Trained on normal rows of the other workloads, without labels, for a budget of false alerts."""
    found = nodes(folder, part)
    quiet = {name: without_labels(spliced(table, ~labels(table))) for name, table in found.items()}
    return [
        Case(name, joined([quiet[other] for other in found if other != name]), "budget", (_stream(table, part),))
        for name, table in found.items()
    ]


def labels(table: Table) -> Bool:
    """The labels of a table that must have some."""
    if table.attack is None:
        raise DataError("the table has no column attack")
    return table.attack


def _stream(table: Table, part: Part) -> Stream:
    views = {"whole": np.ones(len(table), bool)}
    if part == "test":
        views["last 40 %"] = ~splits.until(len(table), splits.EKS_TUNING)
    return Stream("whole", table, views)


def _read(path: Path, name: str) -> Table:
    catalogue = load_catalogue()
    table = tables.read(path).select(catalogue.feature_names)
    x = table.x.copy()
    counters = [feature.counter for feature in catalogue.features]
    x[:, counters] /= LOOK_SECONDS
    x[0, counters] = np.nan  # nothing was looked at before
    for feature in NOT_COLLECTED:
        column = table.features.index(feature)
        if np.unique(x[1:, column]).size > 1:
            raise DataError(f"{path}: column {feature} is not constant, so it is not the published file")
        x[:, column] = np.nan
    return node_table(name, table.features, table.time_ms, x, labels(table))
