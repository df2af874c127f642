"""Brings a database to this version: extension, schema, tables, columns, view, policies of the licence.

In: an open psycopg connection in autocommit mode. One transaction under an advisory lock, so that replicas that
start together do it one after the other. Raises `ConfigurationError` where the operator has to change something.
"""

from __future__ import annotations

import logging
from typing import Any

import psycopg
from psycopg import errors

from receiver.catalogue import Catalogue
from receiver.errors import ConfigurationError
from receiver.store.timescale.schema import (
    ADD_RETENTION,
    ADVISORY_LOCK,
    CREATE_VERSION,
    MIGRATIONS,
    REMOVE_RETENTION,
    Tables,
    schema_of,
    tables_of,
)

log = logging.getLogger(__name__)


def migrate(connection: psycopg.Connection[Any], catalogue: Catalogue, retention_days: float | None) -> None:
    """Make or complete everything that this version and this catalogue need.

    Policies of compression and retention are set where `retention_days` is given and the licence has them.
    """
    tables = tables_of(catalogue)
    # Even where it changes nothing, ALTER TABLE waits for every reader and lets nobody past while it does; and who
    # only reads may have no right to it.
    if not _is_current(connection, catalogue, tables):
        try:
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (ADVISORY_LOCK,))
                _check_encoding(connection)
                _ensure_extension(connection)
                _ensure_schema(connection, catalogue)
                _ensure_tables(connection, tables)
                _ensure_view(connection, catalogue, tables)
        except errors.InsufficientPrivilege as error:
            raise ConfigurationError(
                f"TimescaleDB: {_first_line(error)}; the user needs the right to make tables in this database"
            ) from None
    # By who passes rows on, and by nobody who comes for a page: they lock the tables against every reader and writer.
    if retention_days is not None and licence(connection) == "timescale":
        _ensure_policies(connection, tables, retention_days)


def describe(connection: psycopg.Connection[Any]) -> str:
    """The server's versions and licence; raises `ConfigurationError` where it cannot be used."""
    _check_encoding(connection)
    _require_available(connection)
    installed = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'").fetchone()
    extension = f"TimescaleDB {installed[0]}, licence {licence(connection)}" if installed else "TimescaleDB to be made"
    info = connection.info
    return f"PostgreSQL {info.parameter_status('server_version')} at {info.host}:{info.port}, {extension}"


def licence(connection: psycopg.Connection[Any]) -> str:
    """`apache`, or `timescale` where compression and policies are to be had."""
    found = connection.execute("SELECT current_setting('timescaledb.license', true)").fetchone()
    return str(found[0]) if found and found[0] else "apache"


def _require_available(connection: psycopg.Connection[Any]) -> None:
    if connection.execute("SELECT FROM pg_available_extensions WHERE name = 'timescaledb'").fetchone() is None:
        raise ConfigurationError(
            "setting store: this PostgreSQL server has no TimescaleDB; install its extension timescaledb"
        )


def _check_encoding(connection: psycopg.Connection[Any]) -> None:
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise ConfigurationError(
            f"TimescaleDB: the database's encoding is {encoding}, which cannot hold every name; make it with UTF8"
        )


def _ensure_extension(connection: psycopg.Connection[Any]) -> None:
    if connection.execute("SELECT FROM pg_extension WHERE extname = 'timescaledb'").fetchone() is not None:
        return
    _require_available(connection)
    try:
        connection.execute("CREATE EXTENSION timescaledb")
    except psycopg.Error as error:
        raise ConfigurationError(
            f"TimescaleDB: {_first_line(error)}; let a superuser run CREATE EXTENSION timescaledb in this database"
        ) from None


def _ensure_schema(connection: psycopg.Connection[Any], catalogue: Catalogue) -> None:
    """After the extension, which belongs to no catalogue."""
    # Not IF NOT EXISTS, which asks for a right that who uses one made for them may not have.
    if not _has_schema(connection, catalogue):
        connection.execute(f"CREATE SCHEMA {schema_of(catalogue)}")


def _has_schema(connection: psycopg.Connection[Any], catalogue: Catalogue) -> bool:
    schema = schema_of(catalogue)
    return schema is None or connection.execute("SELECT to_regnamespace(%s)", (schema,)).fetchone() != (None,)


def _ensure_tables(connection: psycopg.Connection[Any], tables: Tables) -> None:
    connection.execute(CREATE_VERSION)
    found = connection.execute("SELECT max(version) FROM nodescore_schema").fetchone()
    version = int(found[0]) if found and found[0] is not None else 0
    if version > len(MIGRATIONS):
        raise ConfigurationError(
            f"TimescaleDB: the tables were made by a newer nodescore (format {version}, this one knows "
            f"{len(MIGRATIONS)}); install that version"
        )
    for script in MIGRATIONS[version:]:
        connection.execute(script)
    if version < len(MIGRATIONS):
        connection.execute("INSERT INTO nodescore_schema (version) VALUES (%s)", (len(MIGRATIONS),))
    connection.execute(tables.create)


def _ensure_view(connection: psycopg.Connection[Any], catalogue: Catalogue, tables: Tables) -> None:
    """Make the view anew where its columns are others: Postgres cannot insert a column into a view."""
    if not _has_columns(connection, catalogue, tables):
        connection.execute(f"DROP VIEW IF EXISTS {tables.view}")
    connection.execute(tables.create_view)


def _has_view(connection: psycopg.Connection[Any], catalogue: Catalogue, tables: Tables) -> bool:
    """Whether it is there, whole, and of labels as they hold now: older versions made it of all of them."""
    definition = connection.execute("SELECT pg_get_viewdef(to_regclass(%s))", (tables.view,)).fetchone()
    of_now = definition is not None and "labels_now" in (definition[0] or "")
    return of_now and _has_columns(connection, catalogue, tables)


def _has_columns(connection: psycopg.Connection[Any], catalogue: Catalogue, tables: Tables) -> bool:
    wanted = ["time", "cluster", "node", *catalogue.feature_names, "attack"]
    found = connection.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 ORDER BY attnum",
        (tables.view,),
    ).fetchall()
    return [name for (name,) in found] == wanted


def _is_current(connection: psycopg.Connection[Any], catalogue: Catalogue, tables: Tables) -> bool:
    """True where everything is there; the view is made last, and has every column of the rows."""
    # Without its schema, names would be those of another catalogue's tables.
    if not _has_schema(connection, catalogue):
        return False
    if connection.execute("SELECT to_regclass('nodescore_schema')").fetchone() == (None,):
        return False
    version = connection.execute("SELECT max(version) FROM nodescore_schema").fetchone()
    return version == (len(MIGRATIONS),) and _has_view(connection, catalogue, tables)


def _ensure_policies(connection: psycopg.Connection[Any], tables: Tables, retention_days: float) -> None:
    try:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (ADVISORY_LOCK,))
            connection.execute(tables.compress)
            for table in (tables.samples, tables.scores):
                # Adding alone would leave an older policy of another length as it is.
                connection.execute(REMOVE_RETENTION, (table,))
                connection.execute(ADD_RETENTION, (table, retention_days * 24 * 3600))
    except psycopg.Error as error:
        # Rows are stored all the same, only larger; a server that forbids policies is no reason to stop.
        log.warning("TimescaleDB: no compression or retention policy: %s", _first_line(error))


def _first_line(error: psycopg.Error) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
