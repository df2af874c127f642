"""Every table of the stores, as the stores make them: in a file of SQLite, and in a TimescaleDB."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import groupby
from pathlib import Path

import psycopg

from receiver.catalogue import load
from receiver.store.embedded import EmbeddedModels, EmbeddedStore
from receiver.store.timescale import TimescaleStore
from tests.docs.reference.markdown import code, table

HEAD = """\
# Tables

`node_samples`, `node_scores` and `node_dataset` are named after the catalogue, which is `node` where nodes are scored.
A name that ends in `_ms` is a time in milliseconds since 1970; `x` is what the detector saw, `contribution` what each
feature added, both in the order of the model's `features`; in a blob they are little-endian float32. A feature that was
not scraped is NULL.

## TimescaleDB

What `--store postgresql://…` fills, for your own queries too. `node_samples` and `node_scores` are hypertables. Tables
of nodes stand in the schema that the DSN leads to, `public` mostly. Each other catalogue has all of these in a schema
of its own, like `nodescore_application`, so that its service may use the same database.

"""
EMBEDDED = """
## The embedded store

`nodescore.sqlite` in the data folder. Programs of yours may read it while the service runs; only the commands of
Nodescore may write.

"""
MODELS = """
## The model's versions

`models.sqlite` in the data folder, where no TimescaleDB has them.

"""
FEATURES = "a column for each [feature](features.md)"
MEANINGS: Mapping[str, str] = {
    "activations": "which version scored from when on, and why; the last entry is the active one",
    "journal": "requests whose samples are not yet in rows, or that a restart rebuilds from",
    "labels": "what was said: every revision of every label",
    "labels_now": "a view: the labels that hold",
    "model_versions": "the versions of the model, each with its file",
    "models": "versions that scores name, and the order of their features",
    "mutes": "until when a node's alerts stay quiet: every entry",
    "node_dataset": "a view: the rows with the column `attack`, 0 or 1 by the labels that hold",
    "node_samples": "a row of each scrape of each node: raw values",
    "node_scores": "a score of each row, by the model that was active",
    "nodes": "the nodes",
    "nodescore_schema": "the format of the tables",
    "progress": "how far journal and outbox are; the format of the file",
    "series": "the series that are kept, by their labels",
    "shadowings": "which version scored in the shadow from when on",
    "states": "what the detector knows of each node",
}
# Of other programs: the extension's, and SQLite's own.
FOREIGN = ("pg_", "sqlite_")

Column = tuple[str, str, str]  # table, name, type


def page(dsn: str) -> str:
    """All tables; `dsn` names an empty database, in which they are made."""
    with tempfile.TemporaryDirectory() as name:
        rows, models = Path(name, "nodescore.sqlite"), Path(name, "models.sqlite")
        EmbeddedStore.open(rows, load()).close()
        EmbeddedModels.open(models, load().name).close()
        return "".join(
            [
                HEAD,
                _tables(_timescale(dsn)),
                EMBEDDED,
                _tables(_sqlite(rows)),
                MODELS,
                _tables(_sqlite(models)),
            ]
        )


def _timescale(dsn: str) -> list[Column]:
    TimescaleStore.connect(dsn, load()).close()
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            "SELECT table_name, column_name, CASE data_type WHEN 'ARRAY' THEN ltrim(udt_name, '_') || '[]' "
            "ELSE data_type END FROM information_schema.columns WHERE table_schema = 'public' "
            "ORDER BY table_name, ordinal_position"
        ).fetchall()
    return [(str(of), str(name), str(kind)) for of, name, kind in found]


def _sqlite(path: Path) -> list[Column]:
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute(
            "SELECT m.name, c.name, lower(c.type) FROM sqlite_master m, pragma_table_info(m.name) c "
            "WHERE m.type = 'table' ORDER BY m.name, c.cid"
        ).fetchall()
    return [(of, name, kind) for of, name, kind in found if not of.startswith(FOREIGN)]


def _tables(columns: list[Column]) -> str:
    return table(["table", "is", "columns"], _rows(columns))


def _rows(columns: list[Column]) -> Iterator[list[str]]:
    features = set(load().feature_names)
    for of, its in groupby(columns, lambda column: column[0]):
        shown = [FEATURES if name in features else f"{code(name)} {kind}" for _, name, kind in its]
        yield [code(of), MEANINGS[of], ", ".join(dict.fromkeys(shown))]
