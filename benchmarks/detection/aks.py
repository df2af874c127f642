"""Nodes of AKS without labels, as raw totals: how far such totals can be used.

In: `aks-node/*.csv`, counters as totals of the node. Out: cases, each node judged by a model of the other. Every
alert counts as false, though nobody knows: an upper bound. Raises `DataError`.

`aks` takes rates from the differences of totals, the only thing that can be done with them: a total that falls was
reset, and its rise is the new value. That is wrong where one device of several comes or goes (`features.md`: rate
first, then sum), which is why the service never does it. `aks-raw` gives the totals to the detectors as they are.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from benchmarks.detection.cases import Case, node_table, whole, without_labels
from benchmarks.detection.splits import Part
from models.table import Table, joined
from receiver.catalogue import load as load_catalogue
from receiver.errors import DataError


def rates(folder: Path, part: Part) -> list[Case]:
    """Counters as the differences of their totals, a second."""
    return _other_node(folder, part, as_rates=True)


def totals(folder: Path, part: Part) -> list[Case]:
    """Counters as totals."""
    return _other_node(folder, part, as_rates=False)


def _other_node(folder: Path, part: Part, *, as_rates: bool) -> list[Case]:
    if part == "tuning":
        return []
    found = [_read(path, as_rates=as_rates) for path in sorted((folder / "aks-node").glob("*.csv"))]
    if len(found) < 2:
        raise DataError(f"{folder / 'aks-node'}: fewer than two nodes: none can be left out")
    return [
        Case(
            table.nodes[0].node,
            without_labels(joined([other for other in found if other is not table])),
            "budget",
            (whole("all", table),),
        )
        for table in found
    ]


def _read(path: Path, *, as_rates: bool) -> Table:
    # Not by models.table: its float32 holds a total of 10^11 to the nearest 10^4 only.
    catalogue = load_catalogue()
    columns = pyarrow.csv.read_csv(path)
    if lacking := [name for name in ("time", *catalogue.feature_names) if name not in columns.column_names]:
        raise DataError(f"{path}: no column {', '.join(lacking)}")
    time_ms = pc.cast(pc.cast(columns["time"], pa.timestamp("ms")), pa.int64()).to_numpy()
    x = np.column_stack([columns[name].to_numpy().astype(np.float64) for name in catalogue.feature_names])
    if as_rates:
        counters = [feature.counter for feature in catalogue.features]
        seconds = np.diff(time_ms, prepend=time_ms[0]) / 1000
        rise = np.diff(x[:, counters], axis=0, prepend=np.nan)
        rise = np.where(rise < 0, x[:, counters], rise)
        x[:, counters] = rise / np.where(seconds > 0, seconds, np.nan)[:, None]
    return node_table(path.stem, catalogue.feature_names, time_ms, x, np.zeros(len(x), bool))
