"""How often faults strike, and the table of what came of them at the end of the run."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.faults.account import Account, markdown
from tests.faults.load import Outcome

# Set by `python -m tests.faults`. Kills: of each of the two stores.
KILLS_VARIABLE = "TEST_FAULT_KILLS"
OUTAGE_VARIABLE = "TEST_FAULT_OUTAGE_SECONDS"
SEED_VARIABLE = "TEST_FAULT_SEED"
# Those of `make test`, which has 15 minutes for everything.
DEFAULT_KILLS = 6
DEFAULT_OUTAGE_SECONDS = 2.0
DEFAULT_SEED = 1

ACCOUNTS = pytest.StashKey[list[Account]]()


@pytest.fixture(scope="session")
def kills_per_store() -> int:
    """How often the service is killed over each store."""
    return int(os.environ.get(KILLS_VARIABLE, DEFAULT_KILLS))


@pytest.fixture(scope="session")
def outage_seconds() -> float:
    """How long a database is down or slow, and a connection behind."""
    return float(os.environ.get(OUTAGE_VARIABLE, DEFAULT_OUTAGE_SECONDS))


@pytest.fixture(scope="session")
def seed() -> int:
    """Of everything that is random."""
    return int(os.environ.get(SEED_VARIABLE, DEFAULT_SEED))


@pytest.fixture
def hold_to_account(request: pytest.FixtureRequest) -> Callable[[Outcome], None]:
    """Puts an outcome into the table, and fails where the promise was not kept."""

    def hold(outcome: Outcome) -> None:
        request.config.stash.setdefault(ACCOUNTS, []).extend(outcome.accounts)
        assert outcome.accounts[0].samples > 0
        assert outcome.complaints == []

    return hold


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    accounts = config.stash.get(ACCOUNTS, [])
    if accounts:
        terminalreporter.write_sep("=", "faults")
        # Not in the order in which the tests were shuffled.
        terminalreporter.write_line(markdown(sorted(accounts, key=lambda account: (account.fault, account.store))))
