"""Anomalies made by HPAS beside one application on one node: 56 runs at 1 Hz, of which every tenth row is taken.

In: `hpas/*.npz`, arrays X [R, 27], t [R] seconds, label [R], features [27], events (JSON: kind, start s, end s; CO is
CPU taken away, CC cache, ML a memory leak). Out: one case. Raises `DataError`.

Every run counts as a node: nothing says how long after one another they were.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from benchmarks.detection import splits
from benchmarks.detection.cases import START_MS, Case, Episode, node_table, whole
from benchmarks.detection.splits import Part
from models.table import Table, joined
from receiver.errors import DataError

KINDS = {"CO": "CPU", "CC": "cache", "ML": "memory leak"}


def runs_held_out(folder: Path, part: Part) -> list[Case]:
    """One model, trained on some runs, measured on others."""
    paths = {path.stem: path for path in sorted((folder / "hpas").glob("*.npz"))}
    sides = splits.hpas_side(list(paths), part)
    train = [_read(paths[run]) for run, side in sides.items() if side == "train"]
    measured = [_read(paths[run]) for run, side in sides.items() if side == "measure"]
    if not train or not measured:
        raise DataError(f"{folder / 'hpas'}: {len(train)} runs to train on and {len(measured)} to measure")
    episodes = tuple(
        Episode(node, START_MS + 1000 * start, START_MS + 1000 * end, KINDS[kind])
        for node, (_, events) in enumerate(measured)
        for kind, start, end in events
    )
    stream = whole("all", joined([table for table, _ in measured]), episodes)
    return [Case("all", joined([table for table, _ in train]), "budget", (stream,))]


def _read(path: Path) -> tuple[Table, list[tuple[str, int, int]]]:
    """A run, and its events in seconds after its first row."""
    with np.load(path, allow_pickle=False) as arrays:
        x, seconds, label = arrays["X"], arrays["t"].astype(np.int64), arrays["label"] != 0
        features, events = arrays["features"].tolist(), json.loads(str(arrays["events"]))
    rows = slice(None, None, splits.HPAS_SECONDS)
    table = node_table(path.stem, features, 1000 * seconds[rows], x[rows], label[rows])
    return table, [(kind, start - int(seconds[0]), end - int(seconds[0])) for kind, start, end in events]
