"""The embedded store: one SQLite file that is journal, rows, scores, states, labels and outbox.

`EmbeddedStore` is the file seen from its only writer, the pipeline's thread: whoever opens a second one on the same
file gets a `ConfigurationError`. Everybody else reads through `EmbeddedReader`. When a method returns, what it wrote
is committed. When it raises `StoreUnavailable`, nothing of it was written, the store stays usable, and the same call
may be made again. When it raises `StoreDamaged`, only opening it again helps: each opening checks the whole file, some
2 s a GB, and what SQLite does not stand for goes through `salvage`.

With `sync="full"`, what `append` wrote is on the disk and survives a power cut when it returns. What the other methods
write waits for the next sync. SQLite's log is one file, of which a power cut takes the end and never a part in the
middle: losing a flush is as if it had not happened yet, since its rows, its scores and the mark that their samples are
consumed are one transaction, and the samples are before it in the log, or still in the journal. What trims the journal
stands behind that mark, so that no power cut can undo the one and leave the other.

Costs, measured with 24 features on one core: a record of 500 samples is one sync and 140 µs alone (50 µs outside of the
kernel), 40 µs in groups of eight; a row with its score 6 µs in a flush of a thousand, 8 µs in one of fifty.
"""

from __future__ import annotations

import json
import sqlite3
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from receiver.catalogue import Catalogue
from receiver.columns import NodeName
from receiver.errors import ConfigurationError, StoreDamaged
from receiver.store.embedded.journal import Journal
from receiver.store.embedded.parameters import newest, row_columns, score_columns
from receiver.store.embedded.progress import (
    CONSUMED,
    LAST_SAMPLE_CHANGE,
    LAST_SCORE_CHANGE,
    SET_PROGRESS,
    read_progress,
)
from receiver.store.embedded.reader import EmbeddedReader
from receiver.store.embedded.salvage import complete, salvage
from receiver.store.embedded.salvage.pages import header_faults, is_ours
from receiver.store.embedded.salvage.wal import read_log
from receiver.store.embedded.schema import migrate, read_texts
from receiver.store.embedded.sqlite import (
    WAL_LIMIT_BYTES,
    Sync,
    connect,
    lock_beside,
    lock_path,
    opening,
    pragma,
    reading,
    set_sync,
    transaction,
)
from receiver.store.embedded.statements import statements_of
from receiver.store.protocol import Finished, JournalRecord, NewSeries, States

# Rows that one `delete_before` takes at most, so that it never holds up an append for longer than some 50 ms.
DELETE_ROWS = 5000


class EmbeddedStore(EmbeddedReader):
    """The file at `path`, open for writing."""

    def __init__(
        self, connection: sqlite3.Connection, path: Path, catalogue: Catalogue, lock: IO[bytes], sync: Sync
    ) -> None:
        super().__init__(connection, path, catalogue)
        self._lock = lock
        self._statements = statements_of(catalogue)
        self._features_json = json.dumps(catalogue.feature_names)
        progress = read_progress(connection)
        self.consumed_seq: int = progress.get(CONSUMED, 0)
        self._lacks: list[str] = []
        self.journal = Journal(connection, self.consumed_seq)
        # Numbers are never used twice, also when the newest rows have been passed on and deleted.
        samples, scores = connection.execute(self._statements.newest_changes).fetchone()
        self._sample_change = max(progress.get(LAST_SAMPLE_CHANGE, 0), samples or 0)
        self._score_change = max(progress.get(LAST_SCORE_CHANGE, 0), scores or 0)
        self._names = self.nodes()
        self._model = _Model(None, 0)
        self._sync = sync
        self._waiting: Sync | None = None

    @classmethod
    def open(cls, path: Path, catalogue: Catalogue, sync: Sync = "full") -> EmbeddedStore:
        """Open, make, migrate or salvage the file at `path`; a `ConfigurationError` for one that is not ours."""
        was_here = lock_path(path).exists()
        lock = lock_beside(path)
        try:
            complete(path)
            there = path.exists()
            ours = was_here or (there and is_ours(path))
            faults = header_faults(path) if there and ours else []
            log = read_log(path)
            lacks = [log.cut] if log.cut else []
            if not ours or not (faults or log.faults):
                try:
                    store = cls._open(path, catalogue, lock, sync)
                except StoreDamaged as error:
                    if not ours:
                        raise ConfigurationError(f"{error}; choose another data directory, or move it away") from error
                    faults = [str(error)]
                else:
                    store._lacks = lacks
                    return store
            lacks = salvage(path, catalogue, lacks + faults)
            store = cls._open(path, catalogue, lock, sync)
            store._lacks = lacks
            return store
        except BaseException as error:
            if not was_here:
                lock_path(path).unlink()  # or the next start would take whatever lies there to be ours
            lock.close()
            if isinstance(error, OSError):
                raise ConfigurationError(f"store {path}: cannot be read: {error}") from error
            raise

    @classmethod
    def _open(cls, path: Path, catalogue: Catalogue, lock: IO[bytes], sync: Sync) -> EmbeddedStore:
        connection = connect(path, sync, create=True)
        with opening(connection, path):
            migrate(connection, path, catalogue)
            (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            if found != "ok":
                raise StoreDamaged(f"store {path}: damaged: {' '.join(found.split())}")
            read_texts(connection)
            return cls(connection, path, catalogue, lock, sync)

    def append(
        self, records: Sequence[JournalRecord], series: Sequence[NewSeries], nodes: Mapping[int, NodeName]
    ) -> list[int]:
        """Write records, and the series and nodes that they are the first to use; the records' numbers.

        One transaction and one sync for all of them: several requests that wait together cost as much as one.
        """
        self._wait_for_disk(self._sync)
        with transaction(self._connection):
            if nodes:
                self._insert_nodes(nodes)
            numbers, stored_bytes = self.journal.insert(records, series)
        self.journal.appended(len(numbers), stored_bytes)
        self._names.update(nodes)
        return numbers

    @property
    def damage(self) -> list[str]:
        """What the file lacks, a line each: found at its opening, and by the journal since."""
        return self._lacks + self.journal.damage

    def add_nodes(self, nodes: Mapping[int, NodeName]) -> None:
        """Name the node ids that later writes use."""
        with transaction(self._connection):
            self._insert_nodes(nodes)
        self._names.update(nodes)

    def forget_nodes(self, silent: Collection[int]) -> list[int]:
        """Delete the names of those of these nodes, which have no series, of which nothing is left; which went.

        The highest id stays, so that none is ever given again.
        """
        with transaction(self._connection):
            found = self._connection.execute(self._statements.only_named).fetchall()
            gone = [id_ for (id_,) in found if id_ in silent]
            self._connection.executemany("DELETE FROM nodes WHERE id = ?", [(id_,) for id_ in gone])
        for id_ in gone:
            del self._names[id_]
        return gone

    def write(self, finished: Finished) -> None:
        """Write rows, fills, scores and how far the journal is consumed, in one transaction."""
        rows, fills, scores = finished.rows, finished.fills, finished.scores
        for node in (rows.node, fills.node, scores.node):
            ids = node.tolist()
            if not all(map(self._names.__contains__, ids)):
                raise ValueError(f"rows of nodes that add_nodes has not named: {sorted(set(ids) - self._names.keys())}")
        sample_change = self._sample_change + len(rows) + len(fills)
        score_change = self._score_change + len(scores)
        consumed_seq = max(self.consumed_seq, finished.consumed_seq)
        model = self._model
        self._wait_for_disk("normal")
        with transaction(self._connection):
            self._statements.upsert_row.run(self._connection, row_columns(rows, self._sample_change + 1))
            self._statements.upsert_fill.run(self._connection, row_columns(fills, self._sample_change + 1 + len(rows)))
            if len(scores):
                if model.version != finished.model_version:
                    model = self._model_of(finished.model_version)
                columns = score_columns(scores, self._score_change + 1, model.id)
                self._statements.insert_score.run(self._connection, columns)
            execute = self._connection.executemany
            execute("UPDATE nodes SET last_row_ms = MAX(COALESCE(last_row_ms, ?1), ?1) WHERE id = ?2", newest(rows))
            execute(
                SET_PROGRESS,
                ((CONSUMED, consumed_seq), (LAST_SAMPLE_CHANGE, sample_change), (LAST_SCORE_CHANGE, score_change)),
            )
        self.consumed_seq, self._sample_change, self._score_change = consumed_seq, sample_change, score_change
        self._model = model

    def save_states(self, states: States) -> None:
        """Keep each node's newest state; it replaces the one that the node had, of whatever model."""
        packed = np.ascontiguousarray(states.state, "<f4")
        with transaction(self._connection):
            self._connection.executemany(
                "INSERT OR REPLACE INTO states (node, model, time_ms, state) VALUES (?, ?, ?, ?)",
                zip(
                    states.node.tolist(),
                    [states.model_version] * len(packed),
                    states.time_ms.tolist(),
                    map(bytes, packed),
                    strict=True,
                ),
            )

    def forget_states(self, before_ms: int) -> None:
        """Delete the states of nodes whose last row is older, of whatever model."""
        with transaction(self._connection):
            self._connection.execute("DELETE FROM states WHERE time_ms < ?", (before_ms,))

    def load_states(self, model_version: str) -> States | None:
        """The states that this model left, or None where there is none."""
        with reading():
            found = self._connection.execute(
                "SELECT node, time_ms, CAST(state AS BLOB) FROM states WHERE model = ? ORDER BY node", (model_version,)
            ).fetchall()
        if not found:
            return None
        usual_bytes = statistics.mode(len(state) for _, _, state in found)
        found = [row for row in found if len(row[2]) == usual_bytes]  # another length is damage
        node, time_ms, state = zip(*found, strict=True)
        return States(
            model_version=model_version,
            node=np.array(node, np.int32),
            time_ms=np.array(time_ms, np.int64),
            state=np.frombuffer(b"".join(state), "<f4").reshape(len(found), -1),
        )

    def last_model(self) -> str | None:
        """The model whose states are the newest; those of another are of nodes that it never had, and not all."""
        with reading():
            found = self._connection.execute("SELECT model FROM states ORDER BY time_ms DESC LIMIT 1").fetchone()
        return None if found is None else str(found[0])

    def delete_before(self, time_ms: int) -> int:
        """Delete rows and scores that are older, at most `DELETE_ROWS` of each; how many went."""
        gone = 0
        with transaction(self._connection):
            for delete in (self._statements.delete_samples, self._statements.delete_scores):
                gone += self._connection.execute(delete, (time_ms, DELETE_ROWS)).rowcount
        return gone

    def size_bytes(self) -> int:
        """Bytes in use: the file without its free pages, which are used again before it grows.

        The log beside it comes to `WAL_LIMIT_BYTES` and is not counted up to there: it falls only when it is written.
        """
        with reading():
            pages = pragma(self._connection, "page_count") - pragma(self._connection, "freelist_count")
            in_file = pages * pragma(self._connection, "page_size")
        log = self.path.with_name(f"{self.path.name}-wal")
        return in_file + (max(0, log.stat().st_size - WAL_LIMIT_BYTES) if log.exists() else 0)

    def close(self) -> None:
        """Copy the log back into the file and give it up."""
        super().close()
        self._lock.close()

    def _insert_nodes(self, nodes: Mapping[int, NodeName]) -> None:
        for id_, name in nodes.items():
            if self._names.get(id_, name) != name:
                raise ValueError(f"node {id_} is {self._names[id_]}, and cannot be {name} too")
        self._connection.executemany(
            "INSERT INTO nodes (id, cluster, name) VALUES (?, ?, ?)",
            [(id_, *name) for id_, name in nodes.items() if id_ not in self._names],
        )

    def _model_of(self, version: str) -> _Model:
        key = (version, self._features_json)
        self._connection.execute("INSERT OR IGNORE INTO models (version, features) VALUES (?, ?)", key)
        found = self._connection.execute("SELECT id FROM models WHERE version = ? AND features = ?", key).fetchone()
        return _Model(version, int(found[0]))

    def _wait_for_disk(self, sync: Sync) -> None:
        """Whether the next transactions wait until they are on the disk: with `full`."""
        if self._waiting != sync:
            self._waiting = None  # not known, where the next line fails
            set_sync(self._connection, sync)
            self._waiting = sync


@dataclass(frozen=True, slots=True)
class _Model:
    """A model whose scores were stored last."""

    version: str | None
    id: int
