"""One connection to a TimescaleDB, as a `RowStore`.

`TimescaleStore.connect` raises `ConfigurationError` for what an operator has to change (no DSN, no extension, no
right to make tables), and `StoreUnavailable` where the server does not answer; so do all methods. After that the
connection may be broken: close the store and connect again. No error text contains the password.

A block of rows is one binary COPY into a staging table and one upsert in key order, so that two replicas that write
the same rows wait for each other instead of locking each other out. Node ids are the database's own: `write` takes
the ids that `add_nodes` has named, and reads give those of `nodes`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from receiver.catalogue import Catalogue
from receiver.columns import Int32, Int64, NodeName, Rows, Scores
from receiver.errors import ConfigurationError, StoreUnavailable
from receiver.store import labelling
from receiver.store.protocol import Finished, Label, States
from receiver.store.timescale.binary_copy import render_samples, render_scores
from receiver.store.timescale.migration import describe, migrate
from receiver.store.timescale.novelty import Newest, Split, in_key_order
from receiver.store.timescale.schema import (
    ADD_LABEL,
    ADD_NODES,
    DROP_CHUNKS,
    FIND_NODES,
    LOAD_STATES,
    READ_BLOCK,
    READ_LABELS,
    SAVE_STATES,
    statements_of,
)
from receiver.store.vectors import Vectors

# Rows of a block that is read: 24 features of them are 1.6 MiB.
READ_ROWS = 8192
# What a DSN may override. A server that is gone without a word must not hold the outbox for the kernel's two hours.
CONNECTION_DEFAULTS = {
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
    "application_name": "nodescore",
}
# Longer than any of our statements needs; what waits longer waits for a lock that nobody gives back.
PATIENCE_SECONDS = 60
# Blocks that are merged after one that was not as new as it seemed: a replica that always comes second tries one
# block in so many, since each try that fails leaves dead rows to the server.
MERGE_AFTER_COLLISION = 20


class TimescaleStore:
    """One connection to one database; used by one thread at a time."""

    def __init__(self, connection: psycopg.Connection[Any], catalogue: Catalogue, secrets: Sequence[str]) -> None:
        self._connection = connection
        self._secrets = secrets
        self._statements = statements_of(catalogue)
        self._features = list(catalogue.feature_names)
        self._ids: dict[int, int] = {}  # the writer's node ids → the database's
        self._newest_row, self._newest_score = Newest(), Newest()
        self._merge_next = 0  # blocks that are not tried as new ones
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

        With `retention_days`, the server deletes what is older by itself, where its licence has that; where not,
        and in any case, `delete_before` does. No statement takes longer than `patience_seconds`.
        """
        connection, secrets = _connect(dsn, patience_seconds)
        try:
            with _translated(secrets):
                migrate(connection, catalogue, retention_days)
            return cls(connection, catalogue, secrets)
        except BaseException:
            connection.close()
            raise

    def add_nodes(self, nodes: Mapping[int, NodeName]) -> None:
        """Name the node ids that later writes use."""
        # By name, so that two services that name the same nodes do not wait for each other in a circle.
        named = sorted((NodeName(_storable(name.cluster), _storable(name.node)), id_) for id_, name in nodes.items())
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
        with _translated(self._secrets):
            if self._merge_next:
                self._merge_next -= 1
            else:
                try:
                    self._write(finished, self._newest_row, self._newest_score)
                except (errors.UniqueViolation, errors.DeadlockDetected):
                    # Another writer, or this one before a crash, was here; where one is, it mostly stays.
                    self._merge_next = MERGE_AFTER_COLLISION
                else:
                    return
            self._write(finished, None, None)

    def read_rows(self, since_ms: int, until_ms: int, nodes: Sequence[int] | None = None) -> Iterator[Rows]:
        """Rows with since ≤ time < until in blocks of at most `READ_ROWS`, by (time, node)."""
        for found in self._blocks(self._statements.read_rows, since_ms, until_ms, nodes):
            time_ms, node, model, x, *raw = zip(*found, strict=True)
            yield Rows(
                node=np.array(node, np.int32),
                time_ms=np.array(time_ms, np.int64),
                raw=np.array(raw, np.float64).T.copy(),
                x=self._vectors.align(model, x),
            )

    def read_scores(self, since_ms: int, until_ms: int, nodes: Sequence[int] | None = None) -> Iterator[Scores]:
        """Scores with since ≤ time < until in blocks of at most `READ_ROWS`, by (time, node)."""
        for found in self._blocks(self._statements.read_scores, since_ms, until_ms, nodes):
            time_ms, node, model, score, x, contribution = zip(*found, strict=True)
            yield Scores(
                node=np.array(node, np.int32),
                time_ms=np.array(time_ms, np.int64),
                score=np.array(score, np.float32),
                x=self._vectors.align(model, x),
                contribution=self._vectors.align(model, contribution),
            )

    def add_label(self, label: Label) -> int:
        """Keep a label; the id that it got."""
        labelling.check(label)
        with self._transaction() as cursor:
            if label.score is None:
                cursor.execute(self._statements.highest_score, (label.start_ms, label.end_ms, *label.name))
                highest = cursor.fetchone()
                label = label if highest is None else labelling.with_score(label, *highest)
            cursor.execute(ADD_LABEL, labelling.columns(label))
            cursor.execute("SELECT id FROM labels WHERE digest = %s", (labelling.digest(label),))
            return int(cursor.fetchall()[0][0])

    def labels(self, since_ms: int, until_ms: int) -> list[Label]:
        """Labels that touch since ≤ t < until, by start."""
        found = self._fetch(READ_LABELS, (since_ms, until_ms))
        return [labelling.from_columns(row) for row in found]

    def save_states(self, states: States) -> None:
        """Keep each node's state, of nodes that `add_nodes` has named, where the stored one is not newer."""
        packed = np.ascontiguousarray(states.state, "<f4")
        columns = (self._database_ids(states.node).tolist(), states.time_ms.tolist(), list(map(bytes, packed)))
        with self._transaction() as cursor:
            cursor.execute(SAVE_STATES, (_storable(states.model_version), *columns))

    def load_states(self, model_version: str, nodes: Sequence[int]) -> States:
        """The states that this model left of these nodes; node ids are those of `nodes`."""
        found = self._fetch(LOAD_STATES, (_storable(model_version), list(nodes)))
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
            for table in (self._statements.samples, self._statements.scores):
                cursor.execute(DROP_CHUNKS, (table, time_ms))
                gone += cursor.rowcount
        return gone

    def close(self) -> None:
        """Give up the connection."""
        self._connection.close()

    def _write(self, finished: Finished, newest_row: Newest | None, newest_score: Newest | None) -> None:
        """All of it in one transaction; without what was written last, all of it is merged."""
        rows, fills, scores = finished.rows, finished.fills, finished.scores
        row_node, fill_node, score_node = (self._database_ids(block.node) for block in (rows, fills, scores))
        with self._connection.transaction(), self._connection.cursor() as cursor:
            split = _split(newest_row, row_node, rows.time_ms)
            parts = self._merge(cursor, self._statements.merge_rows, 0, row_node, rows, split)
            if len(split.new):
                new = split.new
                rendered = render_samples(row_node[new], rows.time_ms[new], rows.raw[new])
                _copy(cursor, self._statements.add_samples, rendered)
            self._merge(
                cursor, self._statements.merge_fills, parts, fill_node, fills, _split(None, fill_node, fills.time_ms)
            )
            if len(scores):
                self._write_scores(cursor, finished, score_node, _split(newest_score, score_node, scores.time_ms))
        self._newest_row.written(row_node, rows.time_ms)
        self._newest_row.written(fill_node, fills.time_ms)
        self._newest_score.written(score_node, scores.time_ms)

    def _merge(
        self, cursor: psycopg.Cursor[Any], merge: str, first_part: int, node: Int32, rows: Rows, split: Split
    ) -> int:
        """Upsert the known rows. One upsert cannot touch a row twice: what repeats one goes into the next part."""
        known = split.known
        if not len(known):
            return first_part
        cursor.execute(self._statements.staging)
        part = split.part + np.int32(first_part)
        rendered = render_samples(node[known], rows.time_ms[known], rows.raw[known], part)
        _copy(cursor, self._statements.stage_samples, rendered)
        parts = int(part.max()) + 1
        for number in range(first_part, parts):
            cursor.execute(merge, (number,))
        return parts

    def _write_scores(self, cursor: psycopg.Cursor[Any], finished: Finished, node: Int32, split: Split) -> None:
        scores = finished.scores
        model = self._model(cursor, finished.model_version)

        def render(places: NDArray[np.intp]) -> bytes:
            models = np.full(len(places), model, np.int32)
            columns = (scores.score, scores.x, scores.contribution)
            return render_scores(node[places], scores.time_ms[places], models, *(column[places] for column in columns))

        if len(split.known):
            cursor.execute(self._statements.staging)
            _copy(cursor, self._statements.stage_scores, render(split.known))
            cursor.execute(self._statements.merge_scores)
        if len(split.new):
            _copy(cursor, self._statements.add_scores, render(split.new))

    def _database_ids(self, node: Int32) -> Int32:
        ids, inverse = np.unique(node, return_inverse=True)
        unnamed = [id_ for id_ in ids.tolist() if id_ not in self._ids]
        if unnamed:
            raise ValueError(f"rows of nodes that add_nodes has not named: {unnamed}")
        return np.array([self._ids[id_] for id_ in ids.tolist()], np.int32)[inverse]

    def _model(self, cursor: psycopg.Cursor[Any], version: str) -> int:
        key = (_storable(version), self._features)
        find = "SELECT id FROM models WHERE version = %s AND features = %s"
        found = cursor.execute(find, key).fetchone()
        if found is None:
            cursor.execute("INSERT INTO models (version, features) VALUES (%s, %s) ON CONFLICT DO NOTHING", key)
            found = cursor.execute(find, key).fetchall()[0]
        return int(found[0])

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
        with _translated(self._secrets), self._connection.cursor(binary=True) as cursor:
            return cursor.execute(query, parameters).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Cursor[Any]]:
        with _translated(self._secrets), self._connection.transaction(), self._connection.cursor() as cursor:
            yield cursor


def probe(dsn: str) -> str:
    """What is at this DSN, in one line; changes nothing. Raises as `TimescaleStore.connect` does."""
    connection, secrets = _connect(dsn)
    try:
        with _translated(secrets):
            return describe(connection)
    finally:
        connection.close()


def _connect(dsn: str, patience_seconds: int = PATIENCE_SECONDS) -> tuple[psycopg.Connection[Any], list[str]]:
    """A connection, and what of its DSN must not be shown."""
    try:
        longest = min(patience_seconds, int(CONNECTION_DEFAULTS["connect_timeout"]))
        options = (
            CONNECTION_DEFAULTS
            | {"connect_timeout": str(longest)}
            | {k: str(v) for k, v in conninfo_to_dict(dsn).items() if v is not None}
        )
    except psycopg.ProgrammingError:
        # The text of this error repeats parts of the DSN, and which parts are secret is what was not understood.
        raise ConfigurationError("setting store: not a DSN like postgresql://user@host:5432/database") from None
    secrets = [options[name] for name in ("password", "sslpassword") if options.get(name)]
    with _translated(secrets):
        # Not prepared, so that a pooler that changes servers between transactions can stand in between.
        connection = psycopg.connect(make_conninfo(**options), prepare_threshold=None, autocommit=True)
        connection.execute("SELECT set_config('statement_timeout', %s, false)", (f"{patience_seconds}s",))
    return connection, secrets


@contextmanager
def _translated(secrets: Sequence[str]) -> Iterator[None]:
    """Turns what psycopg raises into `StoreUnavailable`, with one line of text and without secrets."""
    try:
        yield
    except psycopg.Error as error:
        text = " ".join(str(error).split()) or type(error).__name__
        for secret in secrets:
            text = text.replace(secret, "***")
        # Not `from error`: its text would be logged with the traceback.
        raise StoreUnavailable(f"TimescaleDB: {text}") from None


def _storable(text: str) -> str:
    """Text that Postgres takes: one odd name must not hold up every row behind it."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")


def _copy(cursor: psycopg.Cursor[Any], statement: str, rendered: bytes) -> None:
    with cursor.copy(statement) as copy:
        copy.write(rendered)


def _split(newest: Newest | None, node: Int32, time_ms: Int64) -> Split:
    if newest is not None:
        return newest.split(node, time_ms)
    order, part = in_key_order(node, time_ms)
    return Split(order, part, order[:0])
