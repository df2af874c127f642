"""An embedded file that was made by real use, as it is while the service has it open and after it was closed.

Small enough to be damaged and opened some hundred times: records of one page and of several, rows that were written
again, fills, scores of two models, states, labels, and what was trimmed and deleted.
"""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import numpy as np

from receiver.columns import Samples
from receiver.store import JournalRecord, Mute, NewSeries
from receiver.store.embedded import EmbeddedStore
from receiver.store.protocol import States
from tests.store.data import CATALOGUE, NAN, T0, finished, label, names, scores_of, stored_rows, stored_scores

NAME = "nodescore.db"
FILES = {"open": (NAME, f"{NAME}-wal"), "closed": (NAME,)}
NODES = 4
SERIES = 60
ROWS = 60  # of each node


class Used:
    """The folders that `use` has made, and what a file without damage gives."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records = use(folder)
        self.log = (folder / "open" / f"{NAME}-wal").read_bytes()
        with opened(folder / "closed") as store:
            self.rows, self.scores = stored_rows(store), stored_scores(store)
            self.series, self.labels = store.journal.series(), store.labels(0, 1 << 50)
            self.mutes = store.mutes(0)


def opened(folder: Path) -> closing[EmbeddedStore]:
    """The store of one of these folders, for a `with` block."""
    return closing(EmbeddedStore.open(folder / NAME, CATALOGUE))


def use(folder: Path) -> dict[int, JournalRecord]:
    """Make `nodescore.db` in the folders `open`, with its log, and `closed`; the journal's records by number."""
    path = folder / "live" / NAME
    store = EmbeddedStore.open(path, CATALOGUE)
    rng = np.random.default_rng(7)
    nodes = names(NODES)
    series = [NewSeries(i, (("__name__", f"m{i}"), ("pump", f"pump-{i % 3}"), ("site", "east"))) for i in range(SERIES)]
    records: dict[int, JournalRecord] = {}
    for step in range(ROWS):
        size = 1200 if step % 10 == 9 else int(rng.integers(1, 120))
        samples = Samples(
            rng.integers(0, SERIES, size).astype(np.int32), T0 + rng.integers(0, 10**6, size), rng.normal(size=size)
        )
        record = JournalRecord(T0 + step, samples)
        (seq,) = store.append([record], series if step == 0 else [], nodes if step == 0 else {})
        records[seq] = record
        time_ms = T0 + 1000 * step
        rows = [(node, time_ms, tuple(rng.normal(size=3))) for node in nodes]
        scores = scores_of(*((node, time_ms, 0.5, raw, raw) for node, _, raw in rows))
        again = [(1, time_ms - 1000, (NAN, step, NAN))] if step else []
        store.write(finished(rows + again, [(2, time_ms, (1, 2, 3))], scores, f"v{step // 40}", consumed_seq=seq - 3))
        if step == ROWS // 2:
            store.save_states(States("v0", np.arange(1, 5, dtype=np.int32), np.full(4, T0), np.ones((4, 6), "f4")))
            store.add_label(label(nodes[1], T0, T0 + 5))
            store.add_mute(Mute(nodes[1], T0 + 5, "a backup", "ann", T0))
            for gone in range(1, store.journal.trim(10, T0 + 8) + 1):
                del records[gone]
            store.delete_before(T0 + 5000)
            store._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")  # some frames are in the file already
    shutil.copytree(path.parent, folder / "open")
    store.close()
    shutil.copytree(path.parent, folder / "closed")
    return records
