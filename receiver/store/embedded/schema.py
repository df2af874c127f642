"""The tables of the embedded file: made, migrated, and known again.

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

from __future__ import annotations

import sqlite3
import zlib
from pathlib import Path

from receiver.catalogue import Catalogue
from receiver.errors import ConfigurationError, StoreDamaged
from receiver.store.embedded.progress import FORMAT, SCHEMA, SET_PROGRESS
from receiver.store.embedded.sqlite import APPLICATION_ID, pragma, transaction

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

_READ_PROGRESS = "SELECT value FROM progress WHERE name = ?"


def migrate(connection: sqlite3.Connection, path: Path, catalogue: Catalogue) -> None:
    """Make or complete every table that this version and this catalogue need."""
    with transaction(connection):
        refuse_newer(connection, path)
        version, recorded = pragma(connection, "user_version"), _recorded_version(connection)
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


def refuse_newer(connection: sqlite3.Connection, path: Path) -> None:
    """Raise `ConfigurationError` where the file's header and content both say that it is of a newer version."""
    version = pragma(connection, "user_version")
    if version > len(MIGRATIONS) and version == _recorded_version(connection):
        raise ConfigurationError(
            f"store {path}: written by a newer nodescore (format {version}, this one knows {len(MIGRATIONS)}); "
            "install that version again, or choose another data directory"
        )


def read_texts(connection: sqlite3.Connection) -> None:
    """Raise `sqlite3.OperationalError` where a text is none any more: SQLite takes any bytes for one.

    Not those of series and moments, whose readers bear it.
    """
    columns = connection.execute(
        "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c "
        "WHERE m.type = 'table' AND m.name != 'series' AND c.type = 'TEXT' AND c.name != 'moment'"
    ).fetchall()
    for table, column in columns:
        for _ in connection.execute(f"SELECT {quoted(column)} FROM {quoted(table)}"):  # noqa: S608  both are quoted
            pass


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
