"""What all tests share: the real servers, and what happens where one is not to be had."""

from __future__ import annotations

import fcntl
import os
import signal
import tempfile
from collections.abc import Generator, Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests import shared_folder
from tests.servers import places
from tests.servers.netns import Network, network
from tests.servers.process import Runner
from tests.servers.timescale import TimescaleServer, database_with_extension, empty_database, timescale_server

# A machine that others use too must not fail an example for being slow.
settings.register_profile("shared-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared-machine")

# Learners fit in one thread: several test processes that each took all cores would mostly wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell that starts tests in the background has them ignore Ctrl-C, and with them all that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

RUNNER = pytest.StashKey[Runner]()
SHARED_FOLDER = pytest.StashKey["tempfile.TemporaryDirectory[str]"]()
# Fixtures that need a server, so that their tests need not say it again with a marker.
SERVERS_OF_FIXTURES = {"timescale": "timescale", "timescale_dsn": "timescale", "nodes_network": "netns"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-real", action="store_true", help="fail, instead of skip, the tests whose real server is missing"
    )


def pytest_configure(config: pytest.Config) -> None:
    if shared_folder.VARIABLE not in os.environ:
        config.stash[SHARED_FOLDER] = folder = tempfile.TemporaryDirectory(prefix="nodescore-tests-")
        os.environ[shared_folder.VARIABLE] = folder.name


def pytest_unconfigure(config: pytest.Config) -> None:
    if SHARED_FOLDER in config.stash:
        config.stash[SHARED_FOLDER].cleanup()


def pytest_report_header(config: pytest.Config) -> list[str]:
    return places.describe() + (["real servers are required"] if config.getoption("--require-real") else [])


def servers_of(item: pytest.Item) -> set[str]:
    """The real servers that a test needs, by its `real` markers and its fixtures."""
    named = {str(name) for marker in item.iter_markers("real") for name in marker.args}
    fixtures = getattr(item, "fixturenames", ())
    return named | {server for fixture, server in SERVERS_OF_FIXTURES.items() if fixture in fixtures}


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    for name in sorted(servers_of(item)):
        place = places.find(name)
        if isinstance(place, places.Missing):
            if item.config.getoption("--require-real"):
                pytest.fail(f"a required real server is missing: {place.why}", pytrace=False)
            pytest.skip(place.why)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """A test that is marked `alone` waits until no other runs on this machine, and the others wait for it."""
    with places.lock_file("tests").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH)
        return (yield)


@pytest.fixture
def run_server(request: pytest.FixtureRequest) -> Iterator[Runner]:
    """Starts servers for this test: `prometheus = run_server(Prometheus(config, tmp_path))`."""
    runner = Runner()
    request.node.stash[RUNNER] = runner
    yield runner
    runner.stop_all()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows the ends of its servers' logs; under --require-real, one that skips itself has failed."""
    report = yield
    if report.skipped and servers_of(item) and item.config.getoption("--require-real"):
        report.outcome, report.longrepr = "failed", f"skipped, though real servers are required: {report.longrepr}"
    if report.failed and RUNNER in item.stash:
        report.sections += [(f"log of {server.name}", server.tail()) for server in item.stash[RUNNER].started]
    return report


@pytest.fixture(scope="session")
def timescale(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TimescaleServer]:
    """The TimescaleDB of this test run. A test that stops it starts it again."""
    with timescale_server(tmp_path_factory.mktemp("timescale")) as server:
        yield server


@pytest.fixture(scope="session")
def timescale_template(timescale: TimescaleServer) -> Iterator[str]:
    """The database of which each test gets a copy."""
    with database_with_extension(timescale) as name:
        yield name


@pytest.fixture
def timescale_dsn(timescale: TimescaleServer, timescale_template: str) -> Iterator[str]:
    """The DSN, as superuser, of a database of this test's own with TimescaleDB and nothing else."""
    with empty_database(timescale, timescale_template) as dsn:
        yield dsn


@pytest.fixture
def nodes_network() -> Iterator[Network]:
    """A network for nodes with an eth0 of their own; see `tests.servers.netns`."""
    with network() as net:
        yield net
