"""The two stores, each empty, and an embedded file that was used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from receiver.store import RowStore
from receiver.store.embedded import EmbeddedStore
from receiver.store.timescale import TimescaleStore
from tests.store.data import CATALOGUE, SCHEMA, Database
from tests.store.used import Used


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where an embedded file may be made."""
    return tmp_path / "data" / "nodescore.db"


@pytest.fixture
def embedded(path: Path) -> Iterator[EmbeddedStore]:
    """An empty embedded store."""
    store = EmbeddedStore.open(path, CATALOGUE, "full")
    yield store
    store.close()


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Used:
    """An embedded file that was made by real use, and what it gives."""
    return Used(tmp_path_factory.mktemp("used"))


@pytest.fixture
def timescale_store(timescale_dsn: str) -> Iterator[TimescaleStore]:
    """An empty TimescaleDB."""
    store = TimescaleStore.connect(timescale_dsn, CATALOGUE)
    yield store
    store.close()


@pytest.fixture
def database(timescale_dsn: str) -> Iterator[Database]:
    """A connection of the test's own to the database of the store, where its tables are."""
    with psycopg.connect(timescale_dsn, autocommit=True, options=f"-csearch_path={SCHEMA},public") as connection:
        yield connection


@pytest.fixture(params=["embedded", pytest.param("timescale_store", marks=pytest.mark.real("timescale"))])
def store(request: pytest.FixtureRequest) -> RowStore:
    """Each of the two stores, empty."""
    chosen: RowStore = request.getfixturevalue(request.param)
    return chosen
