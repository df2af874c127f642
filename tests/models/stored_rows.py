"""A table as a service that scored it would have stored it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models.table import Table
from receiver.catalogue import load
from receiver.columns import Rows
from receiver.detector import Detector, NodeStates
from receiver.store import Finished, NewSeries
from receiver.store.embedded import EmbeddedStore
from receiver.store.protocol import RowStore


def fill(folder: Path, rows: Table, detector: Detector) -> Path:
    """A data folder with the rows of a table, scored by a model; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    store = EmbeddedStore.open(folder / "nodescore.sqlite", load())
    names = dict(enumerate(rows.nodes))
    store.append([], [NewSeries(0, (("__name__", "up"),))], names)
    write(store, rows, detector)
    store.close()
    return folder


def write(store: RowStore, rows: Table, detector: Detector) -> None:
    """The rows and their scores into a store that knows the nodes; totals are those inputs, which nobody reads."""
    order = np.lexsort((rows.node, rows.time_ms))
    block = Rows(rows.node[order], rows.time_ms[order], rows.x[order].astype(np.float64), rows.x[order])
    scores = NodeStates(detector).score(block)
    store.write(Finished(block, Rows.empty(len(rows.features)), scores, detector.info.version, 0))
