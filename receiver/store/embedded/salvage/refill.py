"""A new embedded file, filled with rows in the order in which they are found.

In: rows of `recognize`, each at least once. Out: a file as a service leaves it, and a line about each thing that is
missing in it. Of rows that exclude each other the later change stays, else the one that came first. Raises
`sqlite3.Error`. Costs some 10 µs a row; holds the nodes and the ids of series in memory.
"""

# Identifiers in statements come from a Catalogue, or from a schema and are quoted; values are parameters.
# ruff: noqa: S608

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from receiver.catalogue import Catalogue
from receiver.columns import NodeName
from receiver.store.embedded.journal import decode, series_checksum
from receiver.store.embedded.progress import (
    CONSUMED,
    FORWARDED_LABEL,
    FORWARDED_SAMPLE_CHANGE,
    FORWARDED_SCORE_CHANGE,
    LAST_SAMPLE_CHANGE,
    LAST_SCORE_CHANGE,
    SET_PROGRESS,
)
from receiver.store.embedded.salvage.recognize import Row
from receiver.store.embedded.schema import columns_of, migrate, quoted, record_schema
from receiver.store.embedded.sqlite import connect, transaction

# Rows of a transaction.
_BATCH_ROWS = 2000
# Bytes that tell one journal record from another: its header, with the checksum.
_BEGINNING = 24
# Ids that one line names.
_NAMED = 20
_COLUMNS = {
    "journal": ("seq", "received_ms", "record"),
    "models": ("id", "version", "features"),
    "states": ("node", "model", "time_ms", "state"),
    "labels": (
        *("id", "digest", "cluster", "node", "start_ms", "end_ms", "attack", "verdict", "details", "author"),
        *("created_ms", "score", "model", "moment", "key", "revision", "withdrawn"),
    ),
    "mutes": ("id", "digest", "cluster", "node", "until_ms", "reason", "author", "at_ms"),
    "scores": ("change", "time_ms", "node", "model", "score", "x", "contribution"),
    "series": ("id", "labels", "checksum"),
}


class Refill:
    """The file at `path`, made anew; `features` are the columns of the samples, in the order that rows have them."""

    def __init__(self, path: Path, catalogue: Catalogue, features: Sequence[str]) -> None:
        self._catalogue = catalogue
        self._connection = connect(path, "normal", create=True)
        migrate(self._connection, path, catalogue)
        self._tables = {"samples": f"{catalogue.name}_samples", "scores": f"{catalogue.name}_scores"}
        samples = self._table("samples")
        for name in features:
            if name not in columns_of(self._connection, self._tables["samples"]):
                self._connection.execute(f"ALTER TABLE {samples} ADD COLUMN {quoted(name)} REAL")
        record_schema(self._connection)
        columns = ("change", "time_ms", "node", "late", *features)
        self._columns = _COLUMNS | {"samples": columns}
        self._inserts = {table: self._insert(table) for table in self._columns}
        self._waiting: dict[str, list[tuple[Any, ...]]] = {table: [] for table in self._columns}
        self._progress: dict[str, int] = {}
        self._names: dict[int, list[NodeName]] = {}
        self._last_row_ms: dict[int, int] = {}
        self._used_series: set[int] = set()
        self._numbers: set[int] = set()  # of the journal's records
        self._beginnings: set[bytes] = set()  # of the same
        self._unnumbered: dict[bytes, tuple[int, bytes]] = {}  # received_ms and record, by beginning

    def put(self, row: Row) -> None:
        """Take one row; `ValueError` where it has more values than the table has columns."""
        table, values = row
        if table == "progress":
            name, value = values
            self._progress[name] = max(value, self._progress.get(name, 0))
        elif table == "nodes":
            id_, cluster, name, last_row_ms = values
            self._names.setdefault(id_, []).append(NodeName(cluster, name))
            self._last_row_ms[id_] = max(last_row_ms or 0, self._last_row_ms.get(id_, 0))
        else:
            if table == "series":
                values = (*values[:2], series_checksum(values[1].encode()))
            elif table == "journal" and not self._is_new(*values):
                return
            missing = len(self._columns[table]) - len(values)  # of features that came later
            if missing < 0:
                raise ValueError("more values than there are features")
            self._waiting[table].append((*values, *(None,) * missing))
            if len(self._waiting[table]) >= _BATCH_ROWS:
                self._write(table)

    def put_record(self, received_ms: int, record: bytes) -> None:
        """Take a journal record that is whole and whose number is not known, unless it was there with its number."""
        if record[:_BEGINNING] not in self._beginnings:
            self._unnumbered[record[:_BEGINNING]] = (received_ms, record)

    def finish(self) -> list[str]:
        """Complete what rows refer to; a line about each thing that is missing."""
        self._number_records()
        for table in self._waiting:
            self._write(table)
        lines = self._name_nodes() + self._keep_series_ids()
        self._set_progress()
        lines += self._missing_halves("samples", "scores", "") + self._missing_halves(
            "scores", "samples", "AND NOT late"
        )
        return lines

    def close(self) -> None:
        """Give up the file."""
        self._connection.close()

    def _table(self, table: str) -> str:
        return quoted(self._tables.get(table, table))

    def _insert(self, table: str) -> str:
        names = [quoted(name) for name in self._columns[table]]
        into = f"INTO {self._table(table)} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        if table != "samples":
            return f"INSERT OR IGNORE {into}"
        assigned = ", ".join(f"{name} = excluded.{name}" for name in names)
        return (
            f"INSERT {into} ON CONFLICT (change) DO NOTHING ON CONFLICT (time_ms, node) DO UPDATE SET {assigned} "
            f"WHERE excluded.change > {self._table(table)}.change"
        )

    def _is_new(self, seq: int, received_ms: int, record: bytes) -> bool:
        """Whether a record is the first with its number; another one has a number that has changed."""
        if seq in self._numbers:
            self.put_record(received_ms, record)
            return False
        self._numbers.add(seq)
        self._beginnings.add(record[:_BEGINNING])
        self._used_series.update(np.unique(decode(record).samples.series).tolist())
        return True

    def _number_records(self) -> None:
        """Records without a number get those that are missing: they are some of these."""
        missing = (seq for seq in count(min(self._numbers, default=1)) if seq not in self._numbers)
        for beginning, (received_ms, record) in self._unnumbered.items():
            if beginning not in self._beginnings:
                self.put(("journal", (next(missing), received_ms, record)))

    def _write(self, table: str) -> None:
        with transaction(self._connection):
            self._connection.executemany(self._inserts[table], self._waiting[table])
        self._waiting[table].clear()

    def _name_nodes(self) -> list[str]:
        """Names are in the damaged file twice; ids without one get one, or other nodes would take their rows over."""
        lines = []
        chosen = {}
        for id_, names in sorted(self._names.items(), reverse=True):  # a name that came back has the higher id
            if len(set(names)) > 1:
                known = self._names_in_series()
                names.sort(key=lambda name: name not in known)
                lines.append(f"node {id_}: named {names[0]} and {names[-1]}; taken to be the first")
            chosen[id_] = names[0]
        insert = "INSERT OR IGNORE INTO nodes (id, cluster, name, last_row_ms) VALUES (?, ?, ?, ?)"
        rows = [(id_, *name, self._last_row_ms[id_] or None) for id_, name in chosen.items()]
        with transaction(self._connection):
            self._connection.executemany(insert, rows)
            used = " UNION ".join(f"SELECT node FROM {self._table(table)}" for table in ("samples", "scores", "states"))
            lost = self._connection.execute(f"{used} EXCEPT SELECT id FROM nodes").fetchall()
            self._connection.executemany(insert, [(id_, "", f"lost-{id_}", None) for (id_,) in lost])
        if lost:
            lines.append(f"nodes {_some(id_ for (id_,) in lost)}: their names are lost; they are called lost-… now")
        return lines

    def _names_in_series(self) -> set[NodeName | None]:
        found = self._connection.execute("SELECT labels FROM series")
        return {self._catalogue.entity_of(dict(json.loads(labels))) for (labels,) in found}

    def _keep_series_ids(self) -> list[str]:
        """Series of the journal whose labels are lost stay without labels, or others would take their samples over."""
        known = {id_ for (id_,) in self._connection.execute("SELECT id FROM series")}
        lost = sorted(self._used_series - known)
        with transaction(self._connection):
            self._connection.executemany(
                "INSERT INTO series (id, labels, checksum) VALUES (?, '[]', ?)",
                [(id_, series_checksum(b"[]")) for id_ in lost],
            )
        return (
            [f"series {_some(lost)}: their labels are lost, and with them their samples in the journal"] if lost else []
        )

    def _set_progress(self) -> None:
        progress = self._progress
        for last, forwarded in (
            (LAST_SAMPLE_CHANGE, FORWARDED_SAMPLE_CHANGE),
            (LAST_SCORE_CHANGE, FORWARDED_SCORE_CHANGE),
        ):
            # A number behind which everything was passed on must not be given again.
            progress[last] = max(progress.get(last, 0), progress.get(forwarded, 0))
        progress.pop(CONSUMED, None)
        with transaction(self._connection):
            self._connection.executemany(SET_PROGRESS, list(progress.items()))
            passed_on = progress.get(FORWARDED_LABEL, 0)
            highest = self._connection.execute("SELECT COALESCE(MAX(id), 0) FROM labels").fetchone()[0]
            self._connection.execute("DELETE FROM sqlite_sequence WHERE name = 'labels'")
            self._connection.execute(
                "INSERT INTO sqlite_sequence (name, seq) VALUES ('labels', ?)", (max(passed_on, highest),)
            )

    def _missing_halves(self, table: str, other: str, where: str) -> list[str]:
        """A line about each node that has rows of one table without those of the other."""
        found = self._connection.execute(
            f"SELECT n.cluster, n.name, COUNT(*), MIN(time_ms), MAX(time_ms) FROM {self._table(other)} o "
            "JOIN nodes n ON n.id = o.node WHERE NOT EXISTS "
            f"(SELECT 1 FROM {self._table(table)} t WHERE t.time_ms = o.time_ms AND t.node = o.node) {where} "
            "GROUP BY o.node ORDER BY o.node"
        ).fetchall()
        return [
            f"{self._tables[table]}: {rows} rows of {cluster}/{node} from {first} to {last} ms are missing"
            for cluster, node, rows, first, last in found
        ]


def _some(ids: Iterable[int]) -> str:
    listed = sorted(ids)
    more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return ", ".join(map(str, listed[:_NAMED])) + more
