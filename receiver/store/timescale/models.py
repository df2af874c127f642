"""Versions of the model in TimescaleDB, where every replica finds them; a connection of its own, used by one thread.

Raises as `TimescaleStore` does, and is given up and opened again as that one. Postgres is asked with the file's bytes
as they are, in a binary parameter.
"""

# What is pasted into statements are expressions of ours; values are always parameters.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import psycopg

from receiver.catalogue import Catalogue
from receiver.errors import DataError
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
from receiver.store.timescale.connection import PATIENCE_SECONDS, connect, translated
from receiver.store.timescale.migration import migrate
from receiver.store.timescale.schema import ADVISORY_LOCK, TRAINING_LOCK, at, milliseconds, schema_of

_ADD = (
    "INSERT INTO model_versions (catalogue, version, sha256, card, parent, trained_from, trained_until, labels, "
    f"measures, created, model) VALUES (%s, %s, %s, %s, %s, {at()}, {at()}, %s, %s, {at()}, %b) ON CONFLICT DO NOTHING"
)
_VERSIONS = (
    f"SELECT version, sha256, octet_length(model), card::text, parent, {milliseconds('trained_from')}, "
    f"{milliseconds('trained_until')}, labels::text, measures::text, {milliseconds('created')} "
    "FROM model_versions WHERE catalogue = %s ORDER BY id"
)
_ACTIVATIONS = (
    f"SELECT id, version, before, {milliseconds('at')}, by, reason, rollback FROM activations WHERE catalogue = %s "
    "ORDER BY id DESC LIMIT %s"
)
_LAST = "SELECT COALESCE(max(id), 0) FROM activations WHERE catalogue = %s"
_APPEND = (
    "INSERT INTO activations (catalogue, version, before, at, by, reason, rollback) "
    f"VALUES (%s, %s, %s, {at()}, %s, %s, %s)"
)
_SHADOWING = (
    f"SELECT version, {milliseconds('at')}, by, reason, id FROM shadowings WHERE catalogue = %s "
    "ORDER BY id DESC LIMIT 1"
)
_APPEND_SHADOWING = f"INSERT INTO shadowings (catalogue, version, at, by, reason) VALUES (%s, %s, {at()}, %s, %s)"


class TimescaleModels:
    """The versions of one catalogue."""

    def __init__(self, connection: psycopg.Connection[Any], catalogue_name: str, secrets: Sequence[str]) -> None:
        self._connection = connection
        self._catalogue = catalogue_name
        self._secrets = secrets

    @classmethod
    def connect(cls, dsn: str, catalogue: Catalogue, patience_seconds: int = PATIENCE_SECONDS) -> Self:
        """Connect and bring the tables to this version. No statement takes longer than `patience_seconds`."""
        connection, secrets = connect(dsn, schema_of(catalogue), patience_seconds)
        try:
            with translated(secrets):
                migrate(connection, catalogue, None)
        except BaseException:
            connection.close()
            raise
        return cls(connection, catalogue.name, secrets)

    def add(self, version: ModelVersion, model: bytes) -> None:
        """Keep a version and its file; `DataError` where one of its name or its hash is there."""
        check(version, model)
        with self._transaction() as cursor:
            cursor.execute(_ADD, (self._catalogue, *version_columns(version), model))
            added = cursor.rowcount
        if not added:
            raise DataError(f"model {version.version}: a version of this name, or with this file, is there already")

    def versions(self) -> list[ModelVersion]:
        """All, in the order in which they were added."""
        return [version_of(row) for row in self._fetch(_VERSIONS, (self._catalogue,))]

    def model(self, version: str) -> bytes | None:
        """The file of a version; None where there is no such version."""
        found = self._fetch(
            "SELECT model FROM model_versions WHERE catalogue = %s AND version = %s", (self._catalogue, version)
        )
        return bytes(found[0][0]) if found else None

    def remove(self, version: str) -> None:
        """Delete a version and its file."""
        with self._transaction() as cursor:
            cursor.execute(
                "DELETE FROM model_versions WHERE catalogue = %s AND version = %s", (self._catalogue, version)
            )

    def activations(self, most: int = ACTIVATIONS_READ) -> list[Activation]:
        """The last entries of the log, in their order."""
        return [activation_of(row) for row in reversed(self._fetch(_ACTIVATIONS, (self._catalogue, most)))]

    def append(self, activation: Activation, after_id: int) -> bool:
        """Add an entry, where the last one is still that with this id."""
        check_entry(activation)
        with self._transaction() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (ADVISORY_LOCK,))
            cursor.execute(_LAST, (self._catalogue,))
            if cursor.fetchall() != [(after_id,)]:
                return False
            cursor.execute(_APPEND, (self._catalogue, *activation_columns(activation)))
        return True

    @contextmanager
    def training(self) -> Iterator[bool]:
        """Keep others from training for so long; False where somebody else does. Use this store for nothing else."""
        # Of a transaction, so that a pooler cannot keep it, and it goes with the connection.
        with self._transaction() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))", (TRAINING_LOCK, self._catalogue))
            yield bool(cursor.fetchall()[0][0])

    def shadowing(self) -> Shadowing | None:
        """The last entry of the shadow's log."""
        found = self._fetch(_SHADOWING, (self._catalogue,))
        return Shadowing(*found[0]) if found else None

    def append_shadowing(self, entry: Shadowing) -> None:
        """Add an entry to the shadow's log."""
        check_entry(entry)
        with self._transaction() as cursor:
            cursor.execute(_APPEND_SHADOWING, (self._catalogue, entry.version, entry.at_ms, entry.by, entry.reason))

    def close(self) -> None:
        """Give up the connection."""
        self._connection.close()

    def _fetch(self, query: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        with translated(self._secrets), self._connection.cursor(binary=True) as cursor:
            return cursor.execute(query, parameters).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Cursor[Any]]:
        with translated(self._secrets), self._connection.transaction(), self._connection.cursor() as cursor:
            yield cursor
