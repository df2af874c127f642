"""The tables of the embedded file: made, migrated, and the statements that depend on the catalogue.

`migrate` brings a file of any older version, or an empty one, to this version, in one transaction; a catalogue
that gained features gets their columns. Raises `ConfigurationError` for a file of a newer version, `StoreDamaged` for
one whose header or schema is not as it was made.

Two tables are named after the catalogue, here `node`:

    node_samples   change, time_ms, node, late, and one column a feature: the raw values, NULL where missing
    node_scores    change, time_ms, node, model, score, and x and contribution as little-endian float32

`change` is the row's number in the order of changes, and a changed row gets a new one: the table itself is the
outbox, what has not been passed on is what stands behind a watermark. `late` marks a row that was made of late
pieces alone: elsewhere, it only fills. Reads go by the unique index on (time_ms, node).
"""

# Identifiers in statements come from a Catalogue, which allows only a-z, 0-9 and _; values are always parameters.
# ruff: noqa: S608

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from receiver.catalogue import Catalogue
from receiver.errors import ConfigurationError, StoreDamaged
from receiver.store.sqlite import APPLICATION_ID, pragma, transaction

# What brings a file from version n to n + 1 stands at n.
MIGRATIONS = (
    """
    CREATE TABLE progress (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    -- received_ms stands before the record, so that reading it does not touch the record's pages
    CREATE TABLE journal (seq INTEGER PRIMARY KEY, received_ms INTEGER NOT NULL, record BLOB NOT NULL);
    CREATE TABLE series (id INTEGER PRIMARY KEY, labels TEXT NOT NULL);
    CREATE TABLE nodes (
        id INTEGER PRIMARY KEY, cluster TEXT NOT NULL, name TEXT NOT NULL, last_row_ms INTEGER,
        UNIQUE (cluster, name)
    );
    -- features: their order in the blobs of this model's scores, as JSON
    CREATE TABLE models (
        id INTEGER PRIMARY KEY, version TEXT NOT NULL, features TEXT NOT NULL,
        UNIQUE (version, features)
    );
    CREATE TABLE states (
        node INTEGER PRIMARY KEY, model TEXT NOT NULL, time_ms INTEGER NOT NULL, state BLOB NOT NULL
    );
    -- digest: of what the label says, so that a repeated one is known
    CREATE TABLE labels (
        id INTEGER PRIMARY KEY AUTOINCREMENT, digest TEXT NOT NULL UNIQUE,
        cluster TEXT NOT NULL, node TEXT NOT NULL, start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL,
        attack INTEGER NOT NULL, verdict TEXT, details TEXT NOT NULL, author TEXT NOT NULL,
        created_ms INTEGER NOT NULL, score REAL, model TEXT
    );
    CREATE INDEX labels_start ON labels (start_ms);
    """,
    # A label that has changed would be another series.
    "ALTER TABLE series ADD COLUMN checksum INTEGER",
    # A row of labels is a revision: the newest one of a key holds. moment: JSON of what the label is about.
    """
    ALTER TABLE labels ADD COLUMN moment TEXT;
    ALTER TABLE labels ADD COLUMN key TEXT;
    ALTER TABLE labels ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;
    ALTER TABLE labels ADD COLUMN withdrawn INTEGER NOT NULL DEFAULT 0;
    UPDATE labels SET key = substr(digest, 1, 32);
    CREATE INDEX labels_key ON labels (key, revision)
    """,
    # digest: of what the entry says, so that a repeated one is known
    """
    CREATE TABLE mutes (
        id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, cluster TEXT NOT NULL, node TEXT NOT NULL,
        until_ms INTEGER NOT NULL, reason TEXT NOT NULL, author TEXT NOT NULL, at_ms INTEGER NOT NULL
    );
    CREATE INDEX mutes_at ON mutes (at_ms)
    """,
)


# Names in the table `progress`.
CONSUMED = "consumed_seq"
LAST_SAMPLE_CHANGE = "last_sample_change"
LAST_SCORE_CHANGE = "last_score_change"
FORWARDED_SAMPLE_CHANGE = "forwarded_sample_change"
FORWARDED_SCORE_CHANGE = "forwarded_score_change"
FORWARDED_LABEL = "forwarded_label"
PROGRESS = frozenset(
    {
        CONSUMED,
        LAST_SAMPLE_CHANGE,
        LAST_SCORE_CHANGE,
        FORWARDED_SAMPLE_CHANGE,
        FORWARDED_SCORE_CHANGE,
        FORWARDED_LABEL,
    }
)
# The file's version once more, because a changed bit in its header would pass for a newer one, and a checksum of what
# the schema says of our tables, because a changed bit in a column's name would pass for another feature.
FORMAT = "format"
SCHEMA = "schema_checksum"
SET_PROGRESS = (
    "INSERT INTO progress (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)
_READ_PROGRESS = "SELECT value FROM progress WHERE name = ?"


_LABEL = (
    "SELECT l.cluster, l.node, l.start_ms, l.end_ms, l.attack, l.verdict, l.details, l.author, l.created_ms, l.id, "
    "l.score, l.model, l.moment, l.key, l.revision, l.withdrawn FROM labels l"
)
# Two replicas that edit while TimescaleDB is away may both make the next revision: the later one holds.
READ_LABELS = (  # [since_ms, until_ms]
    f"{_LABEL} WHERE l.end_ms >= ? AND l.start_ms < ? AND NOT l.withdrawn AND NOT EXISTS "
    "(SELECT 1 FROM labels n WHERE n.key = l.key "
    "AND (n.revision, n.created_ms, n.digest) > (l.revision, l.created_ms, l.digest)) ORDER BY l.start_ms, l.id"
)
READ_LABEL_HISTORY = f"{_LABEL} WHERE l.key = ? ORDER BY l.revision, l.created_ms, l.digest"  # [key]
PENDING_LABELS = f"{_LABEL} WHERE l.id > ? ORDER BY l.id LIMIT ?"  # [id, limit]
ADD_LABEL = (  # [the columns of `labelling.columns`]
    "INSERT INTO labels (digest, cluster, node, start_ms, end_ms, attack, verdict, details, author, created_ms, "
    "score, model, moment, key, revision, withdrawn) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (digest) DO NOTHING"
)

ADD_MUTE = (  # [the columns of `mutes.columns`]
    "INSERT INTO mutes (digest, cluster, node, until_ms, reason, author, at_ms) VALUES (?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (digest) DO NOTHING"
)
READ_MUTES = (  # [since_ms, limit] the last ones first
    "SELECT cluster, node, until_ms, reason, author, at_ms FROM mutes WHERE at_ms >= ? "
    "ORDER BY at_ms DESC, digest DESC LIMIT ?"
)


# Rows of one INSERT where there are so many: a statement of its own for each row costs half as much again.
STATEMENT_ROWS = 8


@dataclass(frozen=True, slots=True)
class Insert:
    """One INSERT, for one row's parameters, and for those of `STATEMENT_ROWS` rows one after the other."""

    one: str
    several: str

    def run(self, connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows, in order."""
        together = len(rows) - len(rows) % STATEMENT_ROWS
        groups = (rows[start : start + STATEMENT_ROWS] for start in range(0, together, STATEMENT_ROWS))
        if together:
            connection.executemany(self.several, (tuple(chain.from_iterable(group)) for group in groups))
        if together < len(rows):
            connection.executemany(self.one, rows[together:])


@dataclass(frozen=True, slots=True)
class Tables:
    """The statements of one catalogue's tables; in brackets their parameters."""

    samples: str
    scores: str
    features: tuple[str, ...]
    upsert_row: Insert  # [change, time_ms, node, feature…] a value wins over the stored one
    upsert_fill: Insert  # [change, time_ms, node, feature…] a value is taken where none is stored
    insert_score: Insert  # [change, time_ms, node, model, score, x, contribution] a stored score stays
    newest_changes: str  # [] the highest numbers in use, of samples and of scores
    delete_samples: str  # [before_ms, limit] the oldest
    delete_scores: str  # [before_ms, limit]
    delete_sample: str  # [change]
    delete_score: str  # [change]
    only_named: str  # [] ids of nodes of which there is neither row, score, state, label nor mute; not of the last one


def tables_of(catalogue: Catalogue) -> Tables:
    """The statements for this catalogue's tables."""
    samples, scores = quoted(f"{catalogue.name}_samples"), quoted(f"{catalogue.name}_scores")
    names = [quoted(name) for name in catalogue.feature_names]
    stored = [f"{samples}.{name}" for name in names]
    new_first = [f"COALESCE(excluded.{name}, {old})" for name, old in zip(names, stored, strict=True)]
    old_first = [f"COALESCE({old}, excluded.{name})" for name, old in zip(names, stored, strict=True)]

    def insert(table: str, columns: list[str], values: str, conflict: str) -> Insert:
        into = f"INSERT INTO {table} ({', '.join(columns)}) VALUES"
        one, several = (f"{into} {', '.join([values] * rows)} {conflict}" for rows in (1, STATEMENT_ROWS))
        return Insert(one, several)

    def upsert(late: int, merged: list[str], assignments: list[str], changed_if: str) -> Insert:
        # A row that stays as it is keeps its number, so that it is not passed on again.
        assigned = ", ".join([*assignments, *(f"{name} = {value}" for name, value in zip(names, merged, strict=True))])
        return insert(
            samples,
            ["change", "time_ms", "node", "late", *names],
            f"(?, ?, ?, {late}, {', '.join('?' * len(names))})",
            f"ON CONFLICT (time_ms, node) DO UPDATE SET {assigned} "
            f"WHERE {changed_if} ({', '.join(merged)}) IS NOT ({', '.join(stored)})",
        )

    def delete(table: str) -> str:
        oldest = f"SELECT change FROM {table} WHERE time_ms < ? ORDER BY time_ms LIMIT ?"
        return f"DELETE FROM {table} WHERE change IN ({oldest})"

    return Tables(
        samples=samples,
        scores=scores,
        features=catalogue.feature_names,
        upsert_row=upsert(0, new_first, ["change = excluded.change", "late = 0"], f"{samples}.late OR"),
        upsert_fill=upsert(1, old_first, ["change = excluded.change"], ""),
        insert_score=insert(
            scores,
            ["change", "time_ms", "node", "model", "score", "x", "contribution"],
            "(?, ?, ?, ?, ?, ?, ?)",
            "ON CONFLICT (time_ms, node) DO NOTHING",
        ),
        newest_changes=f"SELECT (SELECT MAX(change) FROM {samples}), (SELECT MAX(change) FROM {scores})",
        delete_samples=delete(samples),
        delete_scores=delete(scores),
        delete_sample=f"DELETE FROM {samples} WHERE change = ?",
        delete_score=f"DELETE FROM {scores} WHERE change = ?",
        # A node has no row that is newer than its last, so that one look at the oldest of all tells.
        only_named=(
            "SELECT id FROM nodes WHERE id < (SELECT MAX(id) FROM nodes) "
            f"AND last_row_ms < COALESCE((SELECT MIN(oldest) FROM (SELECT MIN(time_ms) AS oldest FROM {samples} "
            f"UNION ALL SELECT MIN(time_ms) FROM {scores})), {2**63 - 1}) AND id NOT IN (SELECT node FROM states) "
            "AND (cluster, name) NOT IN (SELECT cluster, node FROM labels UNION SELECT cluster, node FROM mutes)"
        ),
    )


@dataclass(frozen=True, slots=True)
class Queries:
    """The selections of one catalogue's tables, each with the table of its rows named `s`."""

    rows: str  # time_ms, node, model, x, feature…
    scores: str  # time_ms, node, model, score, x, contribution
    highest_score: (
        str  # [since_ms, until_ms (inclusive), cluster, name] score, version, time_ms, model, x, contribution
    )
    score_before: str  # [cluster, name, before_ms] time_ms of the last one
    score_after: str  # [cluster, name, after_ms] time_ms of the first one
    highest_below: str  # [since_ms, until_ms, most] cluster, name, time_ms, score of the nodes never over the threshold
    inputs: str  # [watermark, limit] change, time_ms, node, model, score, x
    pending_samples: str  # [watermark, limit] change, late, time_ms, node, feature…
    pending_scores: str  # [watermark, limit] change, time_ms, node, model, score, x, contribution
    before_scores: str  # [since_ms, most] the number before the first score since then, and of the last `most`
    old_samples: str  # [before_ms, watermark, limit] change: what has been passed on and is older
    old_scores: str  # [before_ms, watermark, limit] change


def queries_of(connection: sqlite3.Connection, catalogue: Catalogue) -> Queries | None:
    """The selections as far as the file has the tables: a column that it does not have yet is NULL."""
    tables = tables_of(catalogue)
    present = columns_of(connection, f"{catalogue.name}_samples")
    if not present:
        return None

    def old(table: str) -> str:
        return f"SELECT change FROM {table} WHERE time_ms < ? AND change <= ? ORDER BY time_ms LIMIT ?"

    columns = ", ".join(f"s.{quoted(name)}" if name in present else "NULL" for name in catalogue.feature_names)
    near = (
        f"SELECT time_ms FROM {tables.scores} "
        "WHERE node = (SELECT id FROM nodes WHERE cluster = ? AND name = ?) AND time_ms"
    )
    return Queries(
        rows=(
            f"SELECT s.time_ms, s.node, c.model, c.x, {columns} FROM {tables.samples} s "
            f"LEFT JOIN {tables.scores} c ON c.time_ms = s.time_ms AND c.node = s.node"
        ),
        scores=f"SELECT s.time_ms, s.node, s.model, s.score, s.x, s.contribution FROM {tables.scores} s",
        highest_score=(
            f"SELECT s.score, m.version, s.time_ms, s.model, s.x, s.contribution FROM {tables.scores} s "
            "JOIN models m ON m.id = s.model WHERE s.time_ms BETWEEN ? AND ? "
            "AND s.node = (SELECT id FROM nodes WHERE cluster = ? AND name = ?) ORDER BY s.score DESC LIMIT 1"
        ),
        score_before=f"{near} < ? ORDER BY time_ms DESC LIMIT 1",
        score_after=f"{near} > ? ORDER BY time_ms LIMIT 1",
        # Of a row with a max(), SQLite gives the other columns too.
        highest_below=(
            f"SELECT n.cluster, n.name, p.time_ms, p.score FROM (SELECT node, time_ms, max(score) AS score "
            f"FROM {tables.scores} WHERE time_ms >= ? AND time_ms < ? GROUP BY node) p JOIN nodes n ON n.id = p.node "
            "WHERE p.score <= 1.0 ORDER BY p.score DESC, n.cluster, n.name LIMIT ?"
        ),
        inputs=(
            f"SELECT s.change, s.time_ms, s.node, s.model, s.score, s.x FROM {tables.scores} s "
            "WHERE s.change > ? ORDER BY s.change LIMIT ?"
        ),
        pending_samples=(
            f"SELECT s.change, s.late, s.time_ms, s.node, {columns} FROM {tables.samples} s "
            "WHERE s.change > ? ORDER BY s.change LIMIT ?"
        ),
        pending_scores=(
            f"SELECT s.change, s.time_ms, s.node, s.model, s.score, s.x, s.contribution FROM {tables.scores} s "
            "WHERE s.change > ? ORDER BY s.change LIMIT ?"
        ),
        before_scores=(
            # Where more came since then than are wanted, they are not searched for the first.
            "SELECT CASE WHEN "
            f"(SELECT time_ms FROM {tables.scores} WHERE change > newest - ?2 ORDER BY change LIMIT 1) >= ?1 "
            "THEN newest - ?2 ELSE max(newest - ?2, coalesce("
            f"(SELECT min(change) - 1 FROM {tables.scores} WHERE time_ms >= ?1), newest)) END "
            f"FROM (SELECT coalesce(max(change), 0) AS newest FROM {tables.scores})"
        ),
        old_samples=old(tables.samples),
        old_scores=old(tables.scores),
    )


def migrate(connection: sqlite3.Connection, path: Path, catalogue: Catalogue) -> None:
    """Make or complete every table that this version and this catalogue need."""
    with transaction(connection):
        version, recorded = pragma(connection, "user_version"), _recorded_version(connection)
        if version == recorded > len(MIGRATIONS):
            raise ConfigurationError(
                f"store {path}: written by a newer nodescore (format {version}, this one knows {len(MIGRATIONS)}); "
                "install that version again, or choose another data directory"
            )
        if version != recorded:
            raise StoreDamaged(f"store {path}: its header says format {version}, its content {recorded}")
        checksum = connection.execute(_READ_PROGRESS, (SCHEMA,)).fetchone() if version else None
        if checksum is not None and checksum[0] != _schema_checksum(connection):
            raise StoreDamaged(f"store {path}: its schema is not the one that was made")
        for script in MIGRATIONS[version:]:
            # executescript would commit what is open.
            for statement in script.split(";"):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        _add_catalogue(connection, catalogue)
        connection.execute(SET_PROGRESS, (FORMAT, len(MIGRATIONS)))
        record_schema(connection)


def record_schema(connection: sqlite3.Connection) -> None:
    """Remember the schema as it is, so that it is known again."""
    connection.execute(SET_PROGRESS, (SCHEMA, _schema_checksum(connection)))


def _recorded_version(connection: sqlite3.Connection) -> int:
    """The version that the content has: 0 where there is none yet, and 1 where it does not say."""
    if not columns_of(connection, "progress"):
        return 0
    found = connection.execute(_READ_PROGRESS, (FORMAT,)).fetchone()
    return int(found[0]) if found else 1


def _schema_checksum(connection: sqlite3.Connection) -> int:
    texts = connection.execute(
        "SELECT sql FROM sqlite_master WHERE type = 'table' AND (name IN "
        "('progress', 'journal', 'series', 'nodes', 'models', 'states', 'labels', 'mutes') "
        "OR name GLOB '*_samples' OR name GLOB '*_scores') ORDER BY name"
    ).fetchall()
    return zlib.crc32("\n".join(text for (text,) in texts).encode())


def series_checksum(labels: bytes) -> int:
    """Of the labels of a series, as they are stored."""
    return zlib.crc32(labels)


def columns_of(connection: sqlite3.Connection, table: str) -> set[str]:
    """The columns that a table has; none where there is no such table."""
    return {name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}


def quoted(name: str) -> str:
    """An identifier as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def _add_catalogue(connection: sqlite3.Connection, catalogue: Catalogue) -> None:
    samples, scores = f"{catalogue.name}_samples", f"{catalogue.name}_scores"
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {quoted(samples)} (change INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, "
        "node INTEGER NOT NULL, late INTEGER NOT NULL)"
    )
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {quoted(scores)} (change INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, "
        "node INTEGER NOT NULL, model INTEGER NOT NULL, score REAL, x BLOB NOT NULL, contribution BLOB)"
    )
    present = columns_of(connection, samples)
    for name in catalogue.feature_names:
        if name not in present:
            connection.execute(f"ALTER TABLE {quoted(samples)} ADD COLUMN {quoted(name)} REAL")
    for table in (samples, scores):
        index = quoted(f"{table}_key")
        connection.execute(f"CREATE UNIQUE INDEX IF NOT EXISTS {index} ON {quoted(table)} (time_ms, node)")
