"""The embedded file as SQLite sees it: how a connection is opened, what a transaction is, what its errors mean.

In: the path of a file. Out: a connection with the pragmas below, in autocommit mode, so that every transaction is
visible as `with transaction(connection)`. Every SQLite error that comes from outside (disk, locks) leaves here as
`StoreUnavailable`, or from `connect` as `ConfigurationError`, and damage as `StoreDamaged`; a wrong statement or a
broken constraint is our own mistake and stays what it is. Opening a connection costs some 0.2 ms.
"""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

from receiver.errors import ConfigurationError, StoreDamaged, StoreUnavailable

Sync = Literal["full", "normal"]

# Written into the file's header, so that any other SQLite file is told apart from ours: "NScr".
APPLICATION_ID = 0x4E536372
# A journal record of a 500-sample request has 10 KiB: with 8 KiB pages it takes two of them, with 4 KiB four, and
# each page is a frame to checksum and write. Measured: 19,000 records/s in groups of eight, against 13,000.
PAGE_BYTES = 8192
# Another process (a label, the outbox) holds the write lock for milliseconds; a wait of this length means a fault.
BUSY_TIMEOUT_SECONDS = 10.0
# The writer copies the log back into the file when it has this many pages (32 MiB), in some 30 ms. Small enough
# that readers and a restart need not look through much, large enough that a page which changes with every
# flush is copied back once in many.
WAL_CHECKPOINT_PAGES = 32 * 1024 * 1024 // PAGE_BYTES
# The log file is cut to this after a checkpoint, where a long reader had made it grow.
WAL_LIMIT_BYTES = 64 * 1024 * 1024
# Pages that the writer keeps in memory: the ends of the tables and their index, with room for late pieces.
CACHE_BYTES = 32 * 1024 * 1024
# The file is not mapped into memory: a mapped page that cannot be read kills the process instead of raising.
MAPPED_BYTES = 0

_OUR_TABLES = (
    {"progress", "journal", "series", "nodes", "models", "states", "labels"},
    {"model_versions", "activations"},
)
_OUR_OWN_MISTAKES = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError)


def connect(path: Path, sync: Sync, *, create: bool = False) -> sqlite3.Connection:
    """Open the file at `path`, or make it. The connection may pass between threads, one at a time."""
    if not create and not path.exists():
        raise ConfigurationError(f"store {path}: no such file; `nodescore serve` makes it in its data directory")
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}",
            uri=True,
            timeout=BUSY_TIMEOUT_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            # Our statements are few, but one of them may exist per model or catalogue.
            cached_statements=64,
        )
    except sqlite3.Error as error:
        raise ConfigurationError(f"store {path}: cannot be opened: {error}") from error
    with opening(connection, path):
        _prepare(connection, path, sync)
    return connection


@contextmanager
def opening(connection: sqlite3.Connection, path: Path) -> Iterator[None]:
    """What is done to a connection before it is given away: it is closed where that fails, and the error is ours."""
    try:
        yield
    except sqlite3.Error as error:
        connection.close()
        raise open_error(path, error) from error
    except BaseException:
        connection.close()
        raise


def _prepare(connection: sqlite3.Connection, path: Path, sync: Sync) -> None:
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    owner = pragma(connection, "application_id")
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if owner != APPLICATION_ID and (owner or tables):
        if any(tables >= ours for ours in _OUR_TABLES):
            raise StoreDamaged(f"store {path}: its header names another program")
        raise ConfigurationError(f"store {path}: a SQLite file of another program; choose another data directory")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {sync}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
    connection.execute(f"PRAGMA cache_size = -{CACHE_BYTES // 1024}")
    connection.execute(f"PRAGMA mmap_size = {MAPPED_BYTES}")
    connection.execute("PRAGMA temp_store = MEMORY")


def lock_path(path: Path) -> Path:
    """Where the lock of the file at `path` is: there for ever, once a service has been here."""
    return path.with_name(f"{path.name}.lock")


def lock_beside(path: Path) -> IO[bytes]:
    """Hold a lock beside the file, never on it: closing any handle of the file would drop SQLite's own locks."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = lock_path(path).open("ab")
    except OSError as error:
        raise ConfigurationError(f"store {path}: its lock file: {error}; nodescore needs to write there") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.close()
        raise ConfigurationError(
            f"store {path}: another nodescore serves from it; stop that one, or give this one its own data directory"
        ) from error
    return handle


def set_sync(connection: sqlite3.Connection, sync: Sync) -> None:
    """Whether the transactions from now on wait until they are on the disk; outside of one."""
    with reading():
        # As a script: SQLite obeys this statement when it parses it, and `execute` would take it parsed from its cache.
        connection.executescript(f"PRAGMA synchronous = {sync}")


def pragma(connection: sqlite3.Connection, name: str) -> int:
    """The value of a numeric pragma."""
    (value,) = connection.execute(f"PRAGMA {name}").fetchone()
    return int(value)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing: committed at the end of the block, rolled back when anything is raised in it."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("COMMIT")
    except BaseException as error:
        if connection.in_transaction:
            connection.rollback()
        if isinstance(error, sqlite3.Error) and not isinstance(error, _OUR_OWN_MISTAKES):
            raise unavailable(error) from error
        raise


@contextmanager
def reading() -> Iterator[None]:
    """Turns what SQLite raises while a query runs into `StoreUnavailable` or `StoreDamaged`."""
    try:
        yield
    except _OUR_OWN_MISTAKES:
        raise
    except sqlite3.Error as error:
        raise unavailable(error) from error


def is_damage(error: sqlite3.Error) -> bool:
    """True where the file itself is wrong, so that trying again cannot help."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    # What was written as text was UTF-8; Python's own error has no code.
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or str(error).startswith("Could not decode")


def unavailable(error: sqlite3.Error) -> StoreUnavailable | StoreDamaged:
    """What the sender and the log are told."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return StoreUnavailable("embedded store: the disk is full; free some space, or lower retention_days", 30)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreUnavailable("embedded store: another process has held its lock for too long")
    if is_damage(error):
        return StoreDamaged(
            f"embedded store: the file is damaged ({error}); `nodescore serve` salvages it at its start"
        )
    return StoreUnavailable(f"embedded store: {error}")


def open_error(path: Path, error: sqlite3.Error) -> ConfigurationError | StoreUnavailable | StoreDamaged:
    """What the operator is told when the file cannot be used at start."""
    if is_damage(error):
        return StoreDamaged(f"store {path}: not a usable SQLite file ({error})")
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
        return ConfigurationError(f"store {path}: {error}; nodescore needs to write there")
    return unavailable(error)
