"""One connection to a TimescaleDB, as a `RowStore`.

`TimescaleStore.connect` raises `ConfigurationError` for what an operator has to change (no DSN, no extension, no
right to make tables), and `StoreUnavailable` where the server does not answer; so do all methods. After that the
connection may be broken: close the store and connect again. No error text contains the password.

How blocks are written, `writing` says. Node ids are the database's own: `write` takes the ids that `add_nodes` has
named, and reads give those of `nodes`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Self

import numpy as np
import psycopg

from receiver.catalogue import Catalogue
from receiver.columns import Int32, NodeName, Rows, Scores
from receiver.store import labelling, mutes
from receiver.store.mutes import MUTES_READ, Mute
from receiver.store.protocol import Finished, Label, Peak, States
from receiver.store.timescale.connection import PATIENCE_SECONDS, connect, translated
from receiver.store.timescale.migration import describe, migrate
from receiver.store.timescale.queries import READ_BLOCK, queries_of
from receiver.store.timescale.schema import (
    ADD_LABEL,
    ADD_MUTE,
    ADD_NODES,
    DROP_CHUNKS,
    FIND_NODES,
    FORGET_STATES,
    LOAD_STATES,
    LOCK_LABEL,
    READ_LABEL_HISTORY,
    READ_LABELS,
    READ_MUTES,
    SAVE_STATES,
    schema_of,
    tables_of,
)
from receiver.store.timescale.writing import BlockWriter, storable
from receiver.store.vectors import Vectors

# Rows of a block that is read: 24 features of them are 1.6 MiB.
READ_ROWS = 8192


class TimescaleStore:
    """One connection to one database; used by one thread at a time."""

    def __init__(self, connection: psycopg.Connection[Any], catalogue: Catalogue, secrets: Sequence[str]) -> None:
        self._connection = connection
        self._secrets = secrets
        self._tables = tables_of(catalogue)
        self._queries = queries_of(self._tables)
        self._features = list(catalogue.feature_names)
        self._ids: dict[int, int] = {}  # the writer's node ids → the database's
        self._writer = BlockWriter(connection, self._tables, self._features)
        self._vectors: Vectors[list[float]] = Vectors(
            self._features, self._features_of_model, lambda cells, _: np.array(cells, np.float32), lambda n: n
        )

    @classmethod
    def connect(
        cls,
        dsn: str,
        catalogue: Catalogue,
        retention_days: float | None = None,
        patience_seconds: int = PATIENCE_SECONDS,
    ) -> Self:
        """Connect and bring the tables to this version.

        With `retention_days`, the server compresses, and deletes what is older, by itself, where its licence has that;
        where not, and in any case, `delete_before` deletes. No statement takes longer than `patience_seconds`.
        """
        connection, secrets = connect(dsn, schema_of(catalogue), patience_seconds)
        try:
            with translated(secrets):
                migrate(connection, catalogue, retention_days)
            return cls(connection, catalogue, secrets)
        except BaseException:
            connection.close()
            raise

    def add_nodes(self, nodes: Mapping[int, NodeName]) -> None:
        """Name the node ids that later writes use."""
        # By name, so that two services that name the same nodes do not wait for each other in a circle.
        named = sorted((NodeName(storable(name.cluster), storable(name.node)), id_) for id_, name in nodes.items())
        clusters, names = [name.cluster for name, _ in named], [name.node for name, _ in named]
        with self._transaction() as cursor:
            cursor.execute(ADD_NODES, (clusters, names))
            cursor.execute(FIND_NODES, (clusters, names))
            ids = [id_ for (id_,) in cursor.fetchall()]
        self._ids.update(zip((id_ for _, id_ in named), ids, strict=True))

    def nodes(self) -> dict[int, NodeName]:
        """The names of all node ids that reads give."""
        found = self._fetch("SELECT id, cluster, name FROM nodes ORDER BY id", ())
        return {id_: NodeName(cluster, name) for id_, cluster, name in found}

    def write(self, finished: Finished) -> None:
        """Write rows, fills and scores in one transaction; `consumed_seq` concerns the journal alone."""
        rows, fills, scores = finished.rows, finished.fills, finished.scores
        block = replace(
            finished,
            rows=replace(rows, node=self._database_ids(rows.node)),
            fills=replace(fills, node=self._database_ids(fills.node)),
            scores=replace(scores, node=self._database_ids(scores.node)),
        )
        with translated(self._secrets):
            self._writer.write(block)

    def read_rows(self, since_ms: int, until_ms: int, nodes: Sequence[int] | None = None) -> Iterator[Rows]:
        """Rows with since ≤ time < until in blocks of at most `READ_ROWS`, by (time, node)."""
        for found in self._blocks(self._queries.rows, since_ms, until_ms, nodes):
            yield self._vectors.rows(found)

    def read_scores(self, since_ms: int, until_ms: int, nodes: Sequence[int] | None = None) -> Iterator[Scores]:
        """Scores with since ≤ time < until in blocks of at most `READ_ROWS`, by (time, node)."""
        for found in self._blocks(self._queries.scores, since_ms, until_ms, nodes):
            yield self._vectors.scores(found)

    def add_label(self, label: Label) -> int:
        """Keep a label; the id that it got."""
        labelling.check(label)
        with self._transaction() as cursor:
            return self._insert_label(cursor, label)

    def revise_label(self, label: Label) -> int:
        """Keep a later revision; the id that it got. Raises `Conflict` where it does not follow the newest one."""
        labelling.check(label)
        with self._transaction() as cursor:
            cursor.execute(LOCK_LABEL, (label.key,))
            labelling.require_newest(label, next(iter(reversed(self.label_history(label.key))), None))
            return self._insert_label(cursor, label)

    def labels(self, since_ms: int, until_ms: int) -> list[Label]:
        """Labels that hold now and touch since ≤ t < until, by start."""
        found = self._fetch(READ_LABELS, (since_ms, until_ms))
        return [labelling.from_columns(row) for row in found]

    def label_history(self, key: str) -> list[Label]:
        """All revisions of a label, the one that holds last."""
        return [labelling.from_columns(row) for row in self._fetch(READ_LABEL_HISTORY, (storable(key),))]

    def add_mute(self, mute: Mute) -> None:
        """Keep an entry; one that is there already stays as it is."""
        mutes.check(mute)
        with self._transaction() as cursor:
            cursor.execute(ADD_MUTE, mutes.columns(mute))

    def mutes(self, since_ms: int) -> list[Mute]:
        """The entries that were made since then, in their order; the last `MUTES_READ`."""
        found = self._fetch(READ_MUTES, (since_ms, MUTES_READ))
        return [mutes.from_columns(row) for row in reversed(found)]

    def scored(self, label: Label) -> Label:
        """The label with the highest score of its interval, where it has none yet and there is one here."""
        if label.score is not None:
            return label
        highest = self._fetch(self._queries.highest_score, (label.start_ms, label.end_ms, *label.name))
        if not highest:
            return label
        score, version, *seen = highest[0]
        return labelling.with_score(label, score, version, labelling.moment(*seen))

    def scored_around(self, name: NodeName, start_ms: int, end_ms: int) -> tuple[int | None, int | None]:
        """The times of a node's last score before an interval, and of its first one after it."""
        named = (storable(name.cluster), storable(name.node))
        before = self._fetch(self._queries.score_before, (*named, start_ms))
        after = self._fetch(self._queries.score_after, (*named, end_ms))
        return before[0][0] if before else None, after[0][0] if after else None

    def highest_below(self, since_ms: int, until_ms: int, most: int) -> list[Peak]:
        """Of the nodes that were never over the threshold in since ≤ time < until, those that came nearest to it."""
        found = self._fetch(self._queries.highest_below, (since_ms, until_ms, most))
        return [Peak(NodeName(cluster, name), time_ms, score) for cluster, name, time_ms, score in found]

    def save_states(self, states: States) -> None:
        """Keep each node's state, of nodes that `add_nodes` has named, where the stored one is not newer."""
        packed = np.ascontiguousarray(states.state, "<f4")
        columns = (self._database_ids(states.node).tolist(), states.time_ms.tolist(), list(map(bytes, packed)))
        with self._transaction() as cursor:
            cursor.execute(SAVE_STATES, (storable(states.model_version), *columns))

    def forget_states(self, before_ms: int) -> None:
        """Delete the states of nodes whose last row is older, of whatever model."""
        with self._transaction() as cursor:
            cursor.execute(FORGET_STATES, (before_ms,))

    def load_states(self, model_version: str, nodes: Sequence[int]) -> States:
        """The states that this model left of these nodes; node ids are those of `nodes`."""
        found = self._fetch(LOAD_STATES, (storable(model_version), list(nodes)))
        return States(
            model_version=model_version,
            node=np.array([node for node, _, _ in found], np.int32),
            time_ms=np.array([time_ms for _, time_ms, _ in found], np.int64),
            state=np.frombuffer(b"".join(state for _, _, state in found), "<f4").reshape(len(found), -1)
            if found
            else np.empty((0, 0), np.float32),
        )

    def delete_before(self, time_ms: int) -> int:
        """Drop the chunks of rows and scores that are older as a whole; how many went."""
        gone = 0
        with self._transaction() as cursor:
            for table in (self._tables.samples, self._tables.scores):
                cursor.execute(DROP_CHUNKS, (table, time_ms))
                gone += cursor.rowcount
        return gone

    def close(self) -> None:
        """Give up the connection."""
        self._connection.close()

    def _insert_label(self, cursor: psycopg.Cursor[Any], label: Label) -> int:
        cursor.execute(ADD_LABEL, labelling.columns(self.scored(label)))
        cursor.execute("SELECT id FROM labels WHERE digest = %s", (labelling.digest(label),))
        return int(cursor.fetchall()[0][0])

    def _database_ids(self, node: Int32) -> Int32:
        ids, inverse = np.unique(node, return_inverse=True)
        unnamed = [id_ for id_ in ids.tolist() if id_ not in self._ids]
        if unnamed:
            raise ValueError(f"rows of nodes that add_nodes has not named: {unnamed}")
        return np.array([self._ids[id_] for id_ in ids.tolist()], np.int32)[inverse]

    def _features_of_model(self, model: int) -> list[str]:
        return [
            name for (names,) in self._fetch("SELECT features FROM models WHERE id = %s", (model,)) for name in names
        ]

    def _blocks(
        self, selection: str, since_ms: int, until_ms: int, nodes: Sequence[int] | None
    ) -> Iterator[list[tuple[Any, ...]]]:
        bounds = {
            "last_ms": since_ms,
            "last_node": -1,
            "until_ms": until_ms,
            "nodes": None if nodes is None else [int(node) for node in nodes],
            "limit": READ_ROWS,
        }
        while True:
            found = self._fetch(f"{selection} {READ_BLOCK}", bounds)
            if found:
                yield found
            if len(found) < READ_ROWS:
                return
            bounds["last_ms"], bounds["last_node"] = found[-1][:2]

    def _fetch(self, query: str, parameters: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
        with translated(self._secrets), self._connection.cursor(binary=True) as cursor:
            return cursor.execute(query, parameters).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Cursor[Any]]:
        with translated(self._secrets), self._connection.transaction(), self._connection.cursor() as cursor:
            yield cursor


def probe(dsn: str) -> str:
    """What is at this DSN, in one line; changes nothing. Raises as `TimescaleStore.connect` does."""
    connection, secrets = connect(dsn, None)
    try:
        with translated(secrets):
            return describe(connection)
    finally:
        connection.close()
