"""At the end of every fault the stores hold each acknowledged sample's row, once, with the right values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults import clocks, disks, kills, lags, outages
from tests.faults.load import ASSEMBLY_DEADLINE_SECONDS, DATA_FOLDER, Outcome, under_load
from tests.faults.postgres_proxy import proxy_to
from tests.servers import places
from tests.servers.timescale import GivenServer, TimescaleServer

Hold = Callable[[Outcome], None]


def clock_in(folder: Path) -> clocks.Clock:
    try:
        return clocks.Clock(folder)
    except LookupError as error:
        pytest.skip(str(error))


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
    with proxy_to(timescale_dsn) as (proxy, dsn), under_load(tmp_path, seed, timescale_dsn, store=dsn) as load:
        outcome = outages.break_copies(load, proxy, times=8)
    hold_to_account(outcome)
    assert outcome.ledger.refusals == {}, "senders must not notice"


def test_timescaledb_answers_slowly(
    tmp_path: Path, seed: int, outage_seconds: float, timescale_dsn: str, hold_to_account: Hold
) -> None:
    with proxy_to(timescale_dsn) as (proxy, dsn), under_load(tmp_path, seed, timescale_dsn, store=dsn) as load:
        outcome = outages.answer_slowly(load, proxy, outage_seconds)
    hold_to_account(outcome)
    assert outcome.ledger.refusals == {}, "senders must not notice"


def test_the_disk_is_full_and_emptied_again(tmp_path: Path, seed: int, hold_to_account: Hold) -> None:
    with mounted(tmp_path), under_load(tmp_path, seed) as load:
        outcome = disks.fill_disk(load)
    hold_to_account(outcome)
    assert outcome.ledger.retry_after_seconds, "a 503 says when to come again"


def test_the_disk_budget_is_used_up_and_freed_again(tmp_path: Path, seed: int, hold_to_account: Hold) -> None:
    with under_load(tmp_path, seed, settings=disks.BUDGET) as load:
        outcome = disks.use_up_budget(load)
    hold_to_account(outcome)
    assert outcome.ledger.retry_after_seconds, "a 503 says when to come again"


def test_the_clock_is_set_back(tmp_path: Path, seed: int, hold_to_account: Hold) -> None:
    clock = clock_in(tmp_path)
    with under_load(tmp_path, seed, environment=clock.environment) as load:
        hold_to_account(clocks.step_clock(load, clock, clocks.BACK_SECONDS))


def test_the_clock_is_set_forward_between_the_two_parts_of_a_scrape(
    tmp_path: Path, seed: int, hold_to_account: Hold
) -> None:
    clock = clock_in(tmp_path)
    with under_load(tmp_path, seed, environment=clock.environment) as load:
        hold_to_account(lags.step_forward_while_behind(load, clock, seconds=100))


def test_a_connection_is_behind_by_more_than_the_deadline(tmp_path: Path, seed: int, hold_to_account: Hold) -> None:
    with under_load(tmp_path, seed) as load:
        hold_to_account(lags.fall_behind(load, ASSEMBLY_DEADLINE_SECONDS + 1))


def test_a_connection_is_behind_by_more_than_the_late_horizon(
    tmp_path: Path, seed: int, outage_seconds: float, hold_to_account: Hold
) -> None:
    with under_load(tmp_path, seed, settings={"late_horizon_seconds": 0.5}) as load:
        hold_to_account(lags.fall_behind(load, ASSEMBLY_DEADLINE_SECONDS + outage_seconds))


@contextmanager
def mounted(folder: Path) -> Iterator[None]:
    """A small file system where the service will have its data."""
    try:
        with disks.small_disk(folder / DATA_FOLDER):
            yield
    except PermissionError as error:
        pytest.skip(str(error))
