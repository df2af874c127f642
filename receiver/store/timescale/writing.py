"""How a block of rows and scores gets into the tables: added where it is new, merged where it may be there already.

In: a `Finished` with the database's node ids. Out: a transaction that is committed, or an error of psycopg and
nothing written. What the database cannot have yet (see `novelty`) is one binary COPY into the hypertable. The rest is
one into a staging table and one upsert, in front of it, so that a transaction takes its keys in order. Where a row was
there against all expectation (another replica's, or this one's before a crash), or two replicas that added the same
rows at the turn of a chunk locked each other out, the whole block is merged in a second transaction.

Costs the server 7 µs a row that is new, 13 µs one that is merged.
"""

# Identifiers in statements come from a Catalogue, which allows only a-z, 0-9 and _; values are always parameters.
# ruff: noqa: S608

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import errors

from receiver.columns import Int32, Int64, Rows
from receiver.store.protocol import Finished
from receiver.store.timescale.binary_copy import render_samples, render_scores
from receiver.store.timescale.novelty import Newest, Split, in_key_order
from receiver.store.timescale.schema import Tables

# Blocks that are merged after one that was not as new as it seemed: a replica that always comes second tries one
# block in so many, since each try that fails leaves dead rows to the server.
MERGE_AFTER_COLLISION = 20
COLLISIONS = (errors.UniqueViolation, errors.DeadlockDetected)


@dataclass(frozen=True, slots=True)
class _Statements:
    """Those that write to one catalogue's tables; in brackets their parameters."""

    add_samples: str  # COPY of rows that are not stored yet
    add_scores: str
    stage_samples: str  # COPY of rows with their part, for a merge
    stage_scores: str
    merge_rows: str  # [part] a value wins over the stored one
    merge_fills: str  # [part] a value is taken where none is stored
    merge_scores: str  # [] a stored score stays


def _statements_of(tables: Tables) -> _Statements:
    samples, samples_in = tables.samples, tables.samples_in
    columns = f"node, time, {', '.join(tables.features)}"
    scores_columns = "node, time, model, score, x, contribution"

    def merge(first: str, second: str) -> str:
        merged = {name: f"COALESCE({first}.{name}, {second}.{name})" for name in tables.features}
        stored = ", ".join(f"t.{name}" for name in tables.features)
        return (
            f"INSERT INTO {samples} AS t ({columns}) SELECT {columns} FROM {samples_in} "
            "WHERE part = %s ORDER BY time, node ON CONFLICT (time, node) DO UPDATE SET "
            f"{', '.join(f'{name} = {value}' for name, value in merged.items())} "
            f"WHERE ({', '.join(merged.values())}) IS DISTINCT FROM ({stored})"
        )

    return _Statements(
        add_samples=f"COPY {samples} ({columns}) FROM STDIN (FORMAT binary)",
        add_scores=f"COPY {tables.scores} ({scores_columns}) FROM STDIN (FORMAT binary)",
        stage_samples=f"COPY {samples_in} ({columns}, part) FROM STDIN (FORMAT binary)",
        stage_scores=f"COPY {tables.scores_in} ({scores_columns}) FROM STDIN (FORMAT binary)",
        merge_rows=merge("EXCLUDED", "t"),
        merge_fills=merge("t", "EXCLUDED"),
        merge_scores=(
            f"INSERT INTO {tables.scores} ({scores_columns}) SELECT {scores_columns} "
            f"FROM {tables.scores_in} ORDER BY time, node ON CONFLICT (time, node) DO NOTHING"
        ),
    )


class BlockWriter:
    """Writes blocks through one connection, and remembers what is new to the database."""

    def __init__(self, connection: psycopg.Connection[Any], tables: Tables, features: list[str]) -> None:
        self._connection = connection
        self._tables = tables
        self._statements = _statements_of(tables)
        self._features = features
        self._newest_row, self._newest_score = Newest(), Newest()
        self._merge_next = 0  # blocks that are not tried as new ones

    def write(self, block: Finished) -> None:
        """Write rows, fills and scores in one transaction."""
        if self._merge_next:
            self._merge_next -= 1
        else:
            try:
                self._write(block, self._newest_row, self._newest_score)
            except COLLISIONS:
                self._merge_next = MERGE_AFTER_COLLISION
            else:
                return
        self._write(block, None, None)

    def _write(self, block: Finished, newest_row: Newest | None, newest_score: Newest | None) -> None:
        rows, fills, scores = block.rows, block.fills, block.scores
        with self._connection.transaction(), self._connection.cursor() as cursor:
            split = _split(newest_row, rows.node, rows.time_ms)
            parts = self._merge(cursor, self._statements.merge_rows, rows, split, 0)
            if len(split.new):
                _copy(cursor, self._statements.add_samples, _rendered(rows, split.new))
            self._merge(cursor, self._statements.merge_fills, fills, _split(None, fills.node, fills.time_ms), parts)
            if len(scores):
                self._write_scores(cursor, block, _split(newest_score, scores.node, scores.time_ms))
        self._newest_row.written(rows.node, rows.time_ms)
        self._newest_row.written(fills.node, fills.time_ms)
        self._newest_score.written(scores.node, scores.time_ms)

    def _merge(self, cursor: psycopg.Cursor[Any], merge: str, rows: Rows, split: Split, first_part: int) -> int:
        """Upsert the known rows. One upsert cannot touch a row twice: what repeats one goes into the next part.

        Returns the first part that the staging table does not have yet.
        """
        if not len(split.known):
            return first_part
        cursor.execute(self._tables.create_staging)
        part = split.part + np.int32(first_part)
        _copy(cursor, self._statements.stage_samples, _rendered(rows, split.known, part))
        end = int(part.max()) + 1
        for number in range(first_part, end):
            cursor.execute(merge, (number,))
        return end

    def _write_scores(self, cursor: psycopg.Cursor[Any], block: Finished, split: Split) -> None:
        scores = block.scores
        model = self._model(cursor, block.model_version)

        def rendered(places: NDArray[np.intp]) -> bytes:
            return render_scores(
                scores.node[places],
                scores.time_ms[places],
                np.full(len(places), model, np.int32),
                scores.score[places],
                scores.x[places],
                scores.contribution[places],
            )

        if len(split.known):
            cursor.execute(self._tables.create_staging)
            _copy(cursor, self._statements.stage_scores, rendered(split.known))
            cursor.execute(self._statements.merge_scores)
        if len(split.new):
            _copy(cursor, self._statements.add_scores, rendered(split.new))

    def _model(self, cursor: psycopg.Cursor[Any], version: str) -> int:
        key = (storable(version), self._features)
        find = "SELECT id FROM models WHERE version = %s AND features = %s"
        found = cursor.execute(find, key).fetchone()
        if found is None:
            cursor.execute("INSERT INTO models (version, features) VALUES (%s, %s) ON CONFLICT DO NOTHING", key)
            found = cursor.execute(find, key).fetchall()[0]
        return int(found[0])


def storable(text: str) -> str:
    """Text that Postgres takes: one odd name must not hold up every row behind it."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")


def _split(newest: Newest | None, node: Int32, time_ms: Int64) -> Split:
    """What is known and what is new; without what was written last, everything may be known."""
    if newest is not None:
        return newest.split(node, time_ms)
    order, part = in_key_order(node, time_ms)
    return Split(order, part, order[:0])


def _rendered(rows: Rows, places: NDArray[np.intp], part: Int32 | None = None) -> bytes:
    return render_samples(rows.node[places], rows.time_ms[places], rows.raw[places], part)


def _copy(cursor: psycopg.Cursor[Any], statement: str, rendered: bytes) -> None:
    with cursor.copy(statement) as copy:
        copy.write(rendered)
