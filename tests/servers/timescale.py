"""A TimescaleDB of the tests' own: one server for a test run, an empty database for each test.

The server can be stopped and started, for tests of an outage, unless it was given by the environment.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from receiver.cli.processes import free_port
from tests.servers import places
from tests.servers.process import Process, wait_until

CONTAINER_PASSWORD = "only-for-tests"


class TimescaleServer(Protocol):
    """A running server and the DSN (a URL) of its superuser."""

    dsn: str

    def start(self) -> None:
        """Start, and return when it takes connections."""

    def stop(self) -> None:
        """End it as an administrator does who does not wait for clients."""


def accepts(dsn: str) -> bool:
    """True where a connection can be made."""
    try:
        psycopg.connect(dsn, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


class RootServer:
    """Postgres from an unpacked Debian root, run in it as user postgres on a data folder of its own."""

    def __init__(self, root: Path, log: Path, fsync: bool = False) -> None:
        self.root = root
        port = free_port()
        self.dsn = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        self.data = Path(tempfile.mkdtemp(prefix="nodescore-", dir=root / "tmp"))
        inside = f"/{self.data.relative_to(root)}"
        shutil.chown(self.data, *self._owner())
        self._inside("initdb", f"--pgdata={inside}/data", "--auth=trust", "--username=postgres", "--no-sync")
        settings = {
            "port": port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "shared_preload_libraries": "timescaledb",
            "timescaledb.telemetry_level": "off",
            "dynamic_shared_memory_type": "mmap",  # the root may have no /dev/shm
            "fsync": "on" if fsync else "off",  # the data live as long as the test run
            "timezone": "Asia/Kathmandu",  # an offset of 5:45: whatever depends on the server's zone shows
        }
        flags = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self.process = Process(
            "timescale", [*self._argv("postgres"), "-D", f"{inside}/data", *flags], log, lambda: accepts(self.dsn)
        )

    def _owner(self) -> tuple[int, int]:
        for line in (self.root / "etc/passwd").read_text(encoding="utf-8").splitlines():
            name, _, user, group = line.split(":")[:4]
            if name == "postgres":
                return int(user), int(group)
        raise RuntimeError(f"{self.root}/etc/passwd has no user postgres")

    def _argv(self, program: str) -> list[str]:
        return ["chroot", "--userspec=postgres:postgres", str(self.root), f"/{places.POSTGRES_BIN}/{program}"]

    def _inside(self, program: str, *arguments: str) -> None:
        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        done = subprocess.run([*self._argv(program), *arguments], env=environment, capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr.decode()}")

    def start(self) -> None:
        self.process.start()

    def stop(self) -> None:
        self.process.stop(signal.SIGINT)  # Postgres's "fast": clients are cut off

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.data, ignore_errors=True)


class ContainerServer:
    """The official image, run by docker or podman."""

    def __init__(self, engine: str, image: str) -> None:
        self.engine = engine
        port = free_port()
        self.dsn = f"postgresql://postgres:{CONTAINER_PASSWORD}@127.0.0.1:{port}/postgres"
        self.container = self._run(
            "create",
            f"--publish=127.0.0.1:{port}:5432",
            f"--env=POSTGRES_PASSWORD={CONTAINER_PASSWORD}",
            "--env=TIMESCALEDB_TELEMETRY=off",
            image,
        )

    def _run(self, *arguments: str) -> str:
        done = subprocess.run([self.engine, *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{self.engine} {arguments[0]} failed: {done.stderr}")
        return done.stdout.strip()

    def start(self) -> None:
        self._run("start", self.container)
        # The image's first start runs a server without TCP to prepare the data folder: TCP is the sign.
        wait_until(lambda: accepts(self.dsn), "timescale is ready", timeout_seconds=60)

    def stop(self) -> None:
        self._run("stop", "--time=5", self.container)

    def remove(self) -> None:
        self._run("rm", "--force", "--volumes", self.container)


class GivenServer:
    """A server that somebody else runs."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn

    def start(self) -> None:
        """It runs."""

    def stop(self) -> None:
        raise NotImplementedError(f"the server given by {places.TIMESCALE_VARIABLE} is not ours to stop")


@contextmanager
def timescale_server(folder: Path, fsync: bool = False) -> Iterator[TimescaleServer]:
    """The server that this machine has, running; LookupError where it has none.

    With `fsync` it waits for its disk, as one does whose data are to outlive a power cut; a container's always does.
    """
    place = places.find("timescale")
    if isinstance(place, places.Missing):
        raise LookupError(place.why)
    if place.kind == "dsn":
        yield GivenServer(place.at)
        return
    server: RootServer | ContainerServer
    if place.kind == "root":
        server = RootServer(Path(place.at), folder / "timescale.log", fsync)
    else:
        engine, image = place.at.split()
        server = ContainerServer(engine, image)
    try:
        server.start()
        yield server
    finally:
        server.remove()


_numbers = itertools.count()


@contextmanager
def empty_database(server: TimescaleServer, template: str = "template0") -> Iterator[str]:
    """The DSN of a new database, dropped afterwards: without any extension, or a copy of another database."""
    name = f"nodescore_test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        made = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        connection.execute(made)
    try:
        yield urlsplit(server.dsn)._replace(path=f"/{name}").geturl()
    finally:
        if not accepts(server.dsn):  # a test of an outage that failed midway
            server.start()
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def database_with_extension(server: TimescaleServer) -> Iterator[str]:
    """The name of a database that has the extension and no table of ours: copying it is faster than making another."""
    with empty_database(server) as dsn:
        name = urlsplit(dsn).path.removeprefix("/")
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION timescaledb")
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            # TimescaleDB's own workers look into every database, and one that is looked into cannot be copied.
            connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(name)))
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        yield name
