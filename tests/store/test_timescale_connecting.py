"""Connecting to a TimescaleDB: what is made there, who may, and errors that say what to change and no password."""

from __future__ import annotations

import re
import socketserver
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from receiver.columns import NodeName
from receiver.errors import ConfigurationError, StoreUnavailable
from receiver.store.timescale import TimescaleStore, probe
from receiver.store.timescale.schema import MIGRATIONS
from tests.servers.timescale import TimescaleServer, empty_database
from tests.store.data import CATALOGUE, SCHEMA, T0, Database, finished, label, names, stored_rows

ROOT = Path(__file__).parents[2]
PUMP = NodeName("east", "pump-1")
PASSWORD = "sesame-street"
# The code of a startup message: version 3.0 of PostgreSQL's protocol.
STARTUP = 196_608


@pytest.fixture
def bare_dsn(timescale: TimescaleServer) -> Iterator[str]:
    """The DSN of a database without any extension."""
    with empty_database(timescale) as dsn:
        yield dsn


def as_user(dsn: str, name: str) -> str:
    """The same database for another user."""
    parts = urlsplit(dsn)
    return parts._replace(netloc=f"{name}:{PASSWORD}@{parts.hostname}:{parts.port}").geturl()


@contextmanager
def user(database: Database, dsn: str, name: str) -> Iterator[str]:
    """The database of a DSN for a user who is there within the block."""
    database.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
    try:
        yield as_user(dsn, name)
    finally:
        database.execute(f"DROP OWNED BY {name} CASCADE")
        database.execute(f"DROP ROLE {name}")


def test_services_that_start_at_once_make_the_tables_once(bare_dsn: str) -> None:
    errors: list[Exception] = []

    def start() -> None:
        try:
            TimescaleStore.connect(bare_dsn, CATALOGUE).close()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_database_without_the_extension_and_a_user_without_the_right_to_make_it(bare_dsn: str) -> None:
    with psycopg.connect(bare_dsn, autocommit=True) as admin, user(admin, bare_dsn, "plain") as as_plain:
        admin.execute("GRANT ALL ON SCHEMA public TO plain")
        with pytest.raises(ConfigurationError, match="superuser run CREATE EXTENSION timescaledb"):
            TimescaleStore.connect(as_plain, CATALOGUE)


def test_a_user_without_the_right_to_make_tables(timescale_dsn: str, database: Database) -> None:
    with (
        user(database, timescale_dsn, "reader") as as_reader,
        pytest.raises(ConfigurationError, match=r"permission denied .* right to make tables"),
    ):
        TimescaleStore.connect(as_reader, CATALOGUE)


def test_a_user_who_may_only_read_can_read(
    timescale_store: TimescaleStore, timescale_dsn: str, database: Database
) -> None:
    timescale_store.add_nodes(names(1))
    timescale_store.write(finished([(1, T0, (1, 2, 3))]))
    with user(database, timescale_dsn, "analyst") as as_analyst:
        database.execute(f"GRANT USAGE ON SCHEMA {SCHEMA} TO analyst")
        database.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {SCHEMA} TO analyst")
        with closing(TimescaleStore.connect(as_analyst, CATALOGUE)) as reader:
            assert len(stored_rows(reader)) == 1
            with pytest.raises(StoreUnavailable, match="permission denied"):
                reader.add_label(label(PUMP, T0, T0))


def test_a_schema_that_was_made_for_the_user_is_taken(timescale_dsn: str, database: Database) -> None:
    with user(database, timescale_dsn, "owner") as as_owner:
        database.execute(f"CREATE SCHEMA {SCHEMA} AUTHORIZATION owner")
        TimescaleStore.connect(as_owner, CATALOGUE).close()
        assert database.execute("SELECT count(*) FROM pump_dataset").fetchall() == [(0,)]


def test_connecting_waits_for_no_reader(
    timescale_store: TimescaleStore, timescale_dsn: str, database: Database
) -> None:
    timescale_store.add_nodes(names(1))
    timescale_store.write(finished([(1, T0, (1, 2, 3))]))
    with database.transaction():
        database.execute("SELECT * FROM pump_dataset").fetchall()  # its locks are held until the transaction ends
        TimescaleStore.connect(f"{timescale_dsn}?options=-clock_timeout%3D1", CATALOGUE).close()


def test_a_database_of_another_encoding(timescale: TimescaleServer) -> None:
    with psycopg.connect(timescale.dsn, autocommit=True) as admin:
        admin.execute("DROP DATABASE IF EXISTS nodescore_test_latin")
        admin.execute(
            "CREATE DATABASE nodescore_test_latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"
        )
        try:
            dsn = urlsplit(timescale.dsn)._replace(path="/nodescore_test_latin").geturl()
            with pytest.raises(ConfigurationError, match="encoding is LATIN1"):
                TimescaleStore.connect(dsn, CATALOGUE)
        finally:
            admin.execute("DROP DATABASE nodescore_test_latin")


def test_what_gives_another_schema_than_the_catalogues_is_refused(timescale_dsn: str) -> None:
    with pytest.raises(ConfigurationError, match=r"search_path is elsewhere, and must begin with nodescore_pump"):
        TimescaleStore.connect(f"{timescale_dsn}?options=-csearch_path%3Delsewhere", CATALOGUE)


@pytest.mark.usefixtures("timescale_store")
def test_tables_of_a_newer_version(timescale_dsn: str, database: Database) -> None:
    database.execute("UPDATE nodescore_schema SET version = %s", (len(MIGRATIONS) + 1,))
    with pytest.raises(ConfigurationError, match="made by a newer nodescore"):
        TimescaleStore.connect(timescale_dsn, CATALOGUE)


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://ann:sesame-street@127.0.0.1:1/db",
        "postgresql://ann:sesame-street@127.0.0.1:1/db?nonsense=1",
        "postgresql://ann:sesame-street@host:port:what/db",
        "postgresql://ann:sesame-street@[::1/db",
    ],
)
def test_a_server_that_is_not_there_is_said_in_one_line_without_the_password(dsn: str) -> None:
    with pytest.raises((StoreUnavailable, ConfigurationError)) as caught:
        TimescaleStore.connect(dsn, CATALOGUE)
    assert "sesame" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_wrong_password_is_said_without_it(timescale: TimescaleServer) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        TimescaleStore.connect(as_user(timescale.dsn, "nobody"), CATALOGUE)
    assert "nobody" in str(caught.value)
    assert "sesame" not in str(caught.value)


def test_without_psycopg_the_import_says_what_to_install() -> None:
    program = "import sys; sys.modules['psycopg'] = None\nimport receiver.store.timescale"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "ConfigurationError: a TimescaleDB is configured, but psycopg is not installed" in done.stderr


def test_a_probe_says_what_is_there_and_changes_nothing(bare_dsn: str) -> None:
    assert "TimescaleDB to be made" in probe(bare_dsn)
    with psycopg.connect(bare_dsn) as database:
        assert database.execute("SELECT FROM pg_extension WHERE extname = 'timescaledb'").fetchone() is None
    TimescaleStore.connect(bare_dsn, CATALOGUE).close()
    assert re.fullmatch(r"PostgreSQL \d+\.\d+.* at .+:\d+, TimescaleDB \d+\.\d+\.\d+, licence \w+", probe(bare_dsn))


@pytest.fixture
def silent_dsn() -> Iterator[str]:
    """The DSN of a server that takes connections, reads, and says nothing more, as a frozen one behind a proxy does."""

    class Silent(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while True:
                (length,) = struct.unpack(">I", self.request.recv(4))
                (code,) = struct.unpack(">I", self.request.recv(length - 4)[:4])
                if code == STARTUP:
                    break
                self.request.sendall(b"N")  # neither TLS nor GSS
            self.request.sendall(message(b"R", bytes(4)) + message(b"Z", b"I"))
            while self.request.recv(65_536):
                pass

    def message(kind: bytes, content: bytes) -> bytes:
        return kind + struct.pack(">I", len(content) + 4) + content

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Silent) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"postgresql://u@127.0.0.1:{server.server_address[1]}/d"
        finally:
            server.shutdown()
            thread.join()


def test_a_server_that_says_nothing_is_given_up(silent_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.store.timescale.connection.SILENCE_SECONDS", 0)
    with pytest.raises(StoreUnavailable, match="the server has said nothing for 1 s"):
        TimescaleStore.connect(silent_dsn, CATALOGUE, patience_seconds=1)
