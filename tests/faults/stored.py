"""What the two stores hold, read by SQL, as anybody may read them.

Out: a list of rows, so that a row that is there twice is seen twice. `embedded` may be called while the service runs.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
from psycopg import sql

from receiver.catalogue import Catalogue
from tests.faults.oracle import Key, Values

Found = list[tuple[Key, Values]]


def embedded(path: Path, catalogue: Catalogue) -> Found:
    """All rows of the embedded file."""
    columns = ", ".join(f's."{name}"' for name in catalogue.feature_names)
    # The names are the catalogue's, which allows a-z, 0-9 and _ only.
    query = f"SELECT n.cluster, n.name, s.time_ms, {columns} FROM node_samples s LEFT JOIN nodes n ON n.id = s.node"
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as connection:
        return [_row(found, catalogue) for found in connection.execute(query)]


def timescale(dsn: str, catalogue: Catalogue) -> Found:
    """All rows of the database; none where the service has made no tables yet."""
    query = sql.SQL(
        "SELECT n.cluster, n.name, (extract(epoch FROM s.time) * 1000)::bigint, {} FROM node_samples s "
        "LEFT JOIN nodes n ON n.id = s.node"
    ).format(sql.SQL(", ").join(sql.SQL("s.") + sql.Identifier(name) for name in catalogue.feature_names))
    with psycopg.connect(dsn) as connection:
        try:
            return [_row(found, catalogue) for found in connection.execute(query)]
        except psycopg.errors.UndefinedTable:
            return []


def _row(found: tuple[object, ...], catalogue: Catalogue) -> tuple[Key, Values]:
    cluster, node, time_ms, *values = found
    named = zip(catalogue.feature_names, values, strict=True)
    # Postgres could hold a NaN; it is another value than the one that is expected, and shows as that.
    return Key(str(cluster), str(node), int(str(time_ms))), {n: float(str(v)) for n, v in named if v is not None}
