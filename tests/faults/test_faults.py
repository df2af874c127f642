"""At the end of every fault the stores hold each acknowledged sample's row, once, with the right values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults import clocks, disks, kills, lags, outages
from tests.faults.load import ASSEMBLY_DEADLINE_SECONDS, DATA_FOLDER, Outcome, under_load
from tests.faults.postgres_proxy import PostgresProxy
from tests.servers import places
from tests.servers.proxy import proxy_to
from tests.servers.timescale import GivenServer, TimescaleServer

Hold = Callable[[Outcome], None]


def test_kills(
    tmp_path: Path, seed: int, kills_per_store: int, hold_to_account: Hold, request: pytest.FixtureRequest
) -> None:
    """Of two services side by side, one of which passes its rows on to TimescaleDB where there is one."""
    dsns: list[str | None] = [None]
    if not isinstance(places.find("timescale"), places.Missing):
        dsns.append(request.getfixturevalue("timescale_dsn"))

    def strike(number: int, dsn: str | None) -> Outcome:
        folder = tmp_path / str(number)
        folder.mkdir()
        with under_load(folder, seed + number, dsn) as load:
            return kills.kill_again_and_again(load, kills_per_store)

    with ThreadPoolExecutor() as threads:
        for outcome in list(threads.map(strike, range(len(dsns)), dsns)):
            hold_to_account(outcome)


def test_timescaledb_goes_down_and_comes_back(
    tmp_path: Path,
    seed: int,
    outage_seconds: float,
    timescale: TimescaleServer,
    timescale_dsn: str,
    hold_to_account: Hold,
) -> None:
    if isinstance(timescale, GivenServer):
        pytest.skip("a TimescaleDB given by the environment is not ours to stop")
    with under_load(tmp_path, seed, timescale_dsn) as load:
        outcome = outages.stop_database(load, timescale, times=2, seconds=outage_seconds)
    hold_to_account(outcome)
    assert outcome.ledger.refusals == {}, "senders must not notice"


def test_the_connection_to_timescaledb_is_cut_within_a_copy_and_at_a_commit(
    tmp_path: Path, seed: int, timescale_dsn: str, hold_to_account: Hold
) -> None:
    with (
        proxy_to(timescale_dsn, PostgresProxy) as (proxy, dsn),
        under_load(tmp_path, seed, timescale_dsn, store=dsn) as load,
    ):
        outcome = outages.break_copies(load, proxy, times=4)
    hold_to_account(outcome)
    assert outcome.ledger.refusals == {}, "senders must not notice"


def test_timescaledb_answers_slowly(
    tmp_path: Path, seed: int, outage_seconds: float, timescale_dsn: str, hold_to_account: Hold
) -> None:
    with (
        proxy_to(timescale_dsn, PostgresProxy) as (proxy, dsn),
        under_load(tmp_path, seed, timescale_dsn, store=dsn) as load,
    ):
        outcome = outages.answer_slowly(load, proxy, outage_seconds)
    hold_to_account(outcome)
    assert outcome.ledger.refusals == {}, "senders must not notice"


Strike = Callable[[Path, int, float], Outcome]


def disk_full(folder: Path, seed: int, _: float) -> Outcome:
    with disks.small_disk(folder / DATA_FOLDER), under_load(folder, seed) as load:
        return disks.fill_disk(load)


def disk_budget_used_up(folder: Path, seed: int, _: float) -> Outcome:
    with under_load(folder, seed, settings=disks.BUDGET) as load:
        return disks.use_up_budget(load)


def clock_set_back(folder: Path, seed: int, _: float) -> Outcome:
    clock = clocks.Clock(folder)
    with under_load(folder, seed, environment=clock.environment) as load:
        return clocks.step_clock(load, clock, clocks.BACK_SECONDS)


def clock_set_forward_between_the_parts_of_a_scrape(folder: Path, seed: int, _: float) -> Outcome:
    clock = clocks.Clock(folder)
    with under_load(folder, seed, environment=clock.environment) as load:
        return lags.step_forward_while_behind(load, clock, seconds=100)


def connection_behind_by_more_than_the_deadline(folder: Path, seed: int, _: float) -> Outcome:
    with under_load(folder, seed) as load:
        return lags.fall_behind(load, ASSEMBLY_DEADLINE_SECONDS + 1)


def connection_behind_by_more_than_the_late_horizon(folder: Path, seed: int, outage_seconds: float) -> Outcome:
    with under_load(folder, seed, settings={"late_horizon_seconds": 0.5}) as load:
        return lags.fall_behind(load, ASSEMBLY_DEADLINE_SECONDS + outage_seconds)


# The first one waits for half a minute.
EMBEDDED: tuple[Strike, ...] = (
    disk_full,
    disk_budget_used_up,
    connection_behind_by_more_than_the_late_horizon,
    clock_set_forward_between_the_parts_of_a_scrape,
    clock_set_back,
    connection_behind_by_more_than_the_deadline,
)
SIDE_BY_SIDE = 3


@pytest.fixture(scope="module")
def struck(
    tmp_path_factory: pytest.TempPathFactory, seed: int, outage_seconds: float
) -> Iterator[dict[Strike, Future[Outcome]]]:
    """What comes of each, several services at a time: mostly they wait."""
    with ThreadPoolExecutor(SIDE_BY_SIDE) as threads:
        yield {
            strike: threads.submit(strike, tmp_path_factory.mktemp(strike.__name__), seed, outage_seconds)
            for strike in EMBEDDED
        }


@pytest.mark.parametrize("strike", EMBEDDED, ids=lambda strike: strike.__name__)
def test_a_service_by_itself(strike: Strike, struck: dict[Strike, Future[Outcome]], hold_to_account: Hold) -> None:
    try:
        outcome = struck[strike].result()
    except (PermissionError, LookupError) as error:  # no mount, no C compiler
        pytest.skip(str(error))
    hold_to_account(outcome)
    if strike in (disk_full, disk_budget_used_up):
        assert outcome.ledger.retry_after_seconds, "a 503 says when to come again"
