"""Versions of the model in an SQLite file of their own beside the embedded store; any process may open it at any time.

A file of its own, because one transaction with a model of 32 MiB would hold up the journal's commits, and because what
damages the one shall not take the other along. `EmbeddedModels.open` makes the file where there is none; `set_aside`
takes a damaged one out of the way. Raises `ConfigurationError` for a file that is not ours, `StoreDamaged` for one that
SQLite gives up or whose rows make no sense, `StoreUnavailable` where it is locked for too long or the disk is full.
What a method wrote is on the disk when it returns.
"""

from __future__ import annotations

import fcntl
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from receiver.errors import ConfigurationError, DataError, StoreDamaged, StoreUnavailable
from receiver.store.embedded.sqlite import APPLICATION_ID, connect, opening, pragma, reading, transaction
from receiver.store.models import (
    ACTIVATIONS_READ,
    Activation,
    ModelVersion,
    Shadowing,
    activation_columns,
    activation_of,
    check,
    check_entry,
    version_columns,
    version_of,
)

# What brings a file from version n to n + 1 stands at n. The model stands last, so that a list does not read it.
MIGRATIONS = (
    (
        """
        CREATE TABLE model_versions (
            id INTEGER PRIMARY KEY AUTOINCREMENT, catalogue TEXT NOT NULL, version TEXT NOT NULL, sha256 TEXT NOT NULL,
            card TEXT NOT NULL, parent TEXT NOT NULL, trained_from_ms INTEGER, trained_until_ms INTEGER,
            labels TEXT NOT NULL, measures TEXT NOT NULL, created_ms INTEGER NOT NULL, model BLOB NOT NULL,
            UNIQUE (catalogue, version), UNIQUE (catalogue, sha256)
        )
        """,
        """
        CREATE TABLE activations (
            id INTEGER PRIMARY KEY AUTOINCREMENT, catalogue TEXT NOT NULL, version TEXT NOT NULL, before TEXT NOT NULL,
            at_ms INTEGER NOT NULL, by TEXT NOT NULL, reason TEXT NOT NULL, rollback INTEGER NOT NULL
        )
        """,
        "CREATE INDEX activations_catalogue ON activations (catalogue, id)",
    ),
    (
        """
        CREATE TABLE shadowings (
            id INTEGER PRIMARY KEY AUTOINCREMENT, catalogue TEXT NOT NULL, version TEXT NOT NULL,
            at_ms INTEGER NOT NULL, by TEXT NOT NULL, reason TEXT NOT NULL
        )
        """,
        "CREATE INDEX shadowings_catalogue ON shadowings (catalogue, id)",
    ),
)


class EmbeddedModels:
    """The versions of one catalogue in one file; used by one thread at a time."""

    def __init__(self, connection: sqlite3.Connection, path: Path, catalogue_name: str) -> None:
        self._connection = connection
        self._path = path
        self._catalogue = catalogue_name

    @classmethod
    def open(cls, path: Path, catalogue_name: str) -> Self:
        """Open the file at `path`, or make it."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"store {path}: {error.strerror}") from error
        connection = connect(path, "full", create=True)
        with opening(connection, path):
            _migrate(connection, path)
        return cls(connection, path, catalogue_name)

    def check(self) -> None:
        """Read all of the file; raises `StoreDamaged` where SQLite finds something wrong. Some 2 ms a MiB."""
        with reading():
            (found,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise StoreDamaged(f"the file of the model's versions is damaged: {' '.join(found.split())}")

    def add(self, version: ModelVersion, model: bytes) -> None:
        """Keep a version and its file; `DataError` where one of its name or its hash is there."""
        check(version, model)
        with transaction(self._connection):
            added = self._connection.execute(
                "INSERT INTO model_versions (catalogue, version, sha256, card, parent, trained_from_ms, "
                "trained_until_ms, labels, measures, created_ms, model) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT DO NOTHING",
                (self._catalogue, *version_columns(version), model),
            ).rowcount
        if not added:
            raise DataError(f"model {version.version}: a version of this name, or with this file, is there already")

    def versions(self) -> list[ModelVersion]:
        """All, in the order in which they were added."""
        with reading(), _making_sense():
            found = self._connection.execute(
                "SELECT version, sha256, length(model), card, parent, trained_from_ms, trained_until_ms, labels, "
                "measures, created_ms FROM model_versions WHERE catalogue = ? ORDER BY id",
                (self._catalogue,),
            ).fetchall()
            return [version_of(row) for row in found]

    def model(self, version: str) -> bytes | None:
        """The file of a version; None where there is no such version."""
        with reading():
            found = self._connection.execute(
                "SELECT model FROM model_versions WHERE catalogue = ? AND version = ?", (self._catalogue, version)
            ).fetchone()
        return bytes(found[0]) if found else None

    def remove(self, version: str) -> None:
        """Delete a version and its file."""
        with transaction(self._connection):
            self._connection.execute(
                "DELETE FROM model_versions WHERE catalogue = ? AND version = ?", (self._catalogue, version)
            )

    def activations(self, most: int = ACTIVATIONS_READ) -> list[Activation]:
        """The last entries of the log, in their order."""
        with reading(), _making_sense():
            found = self._connection.execute(
                "SELECT id, version, before, at_ms, by, reason, rollback FROM activations WHERE catalogue = ? "
                "ORDER BY id DESC LIMIT ?",
                (self._catalogue, most),
            ).fetchall()
            return [activation_of(row) for row in reversed(found)]

    def append(self, activation: Activation, after_id: int) -> bool:
        """Add an entry, where the last one is still that with this id."""
        check_entry(activation)
        with transaction(self._connection):
            added = self._connection.execute(
                "INSERT INTO activations (catalogue, version, before, at_ms, by, reason, rollback) "
                "SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 "
                "WHERE (SELECT COALESCE(MAX(id), 0) FROM activations WHERE catalogue = ?1) = ?8",
                (self._catalogue, *activation_columns(activation), after_id),
            ).rowcount
        return added == 1

    @contextmanager
    def training(self) -> Iterator[bool]:
        """Keep others from training for so long; False where somebody else does."""
        try:
            lock = self._path.with_name(f"{self._path.name}.training").open("ab")
        except OSError as error:
            raise StoreUnavailable(f"store {self._path}: {error.strerror}") from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
            else:
                yield True

    def shadowing(self) -> Shadowing | None:
        """The last entry of the shadow's log."""
        with reading():
            found = self._connection.execute(
                "SELECT version, at_ms, by, reason, id FROM shadowings WHERE catalogue = ? ORDER BY id DESC LIMIT 1",
                (self._catalogue,),
            ).fetchone()
        return Shadowing(*found) if found else None

    def append_shadowing(self, entry: Shadowing) -> None:
        """Add an entry to the shadow's log."""
        check_entry(entry)
        with transaction(self._connection):
            self._connection.execute(
                "INSERT INTO shadowings (catalogue, version, at_ms, by, reason) VALUES (?, ?, ?, ?, ?)",
                (self._catalogue, entry.version, entry.at_ms, entry.by, entry.reason),
            )

    def close(self) -> None:
        """Give up the file."""
        self._connection.close()


def set_aside(path: Path, now_ms: int) -> Path:
    """Rename a damaged file, and the log beside it, that nobody writes any more; its new name. Raises `OSError`."""
    made = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_ms / 1000))
    damaged = path.with_name(f"{path.name}.damaged-{made}")
    # The log first: beside a new file it would be taken for that one's.
    for ending in ("-wal", "-shm", ""):
        old = path.with_name(path.name + ending)
        if old.exists():
            old.rename(damaged.with_name(damaged.name + ending))
    return damaged


@contextmanager
def _making_sense() -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError, sqlite3.OperationalError) as error:
        if hasattr(error, "sqlite_errorcode"):  # else it is text that is none
            raise
        raise StoreDamaged(f"the file of the model's versions is damaged: {error}") from error


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the file to this version; nothing is written where it is."""
    if pragma(connection, "user_version") == len(MIGRATIONS):
        return
    with transaction(connection):
        version = pragma(connection, "user_version")  # another process may have been first
        if version > len(MIGRATIONS):
            raise ConfigurationError(
                f"store {path}: written by a newer nodescore (format {version}, this one knows {len(MIGRATIONS)})"
            )
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
