"""How often faults strike, and the table of what came of them at the end of the run."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict

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

# A property of a test's report: it comes also from the process of another worker.
ACCOUNT = "account"


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
def hold_to_account(record_property: Callable[[str, object], None]) -> Callable[[Outcome], None]:
    """Puts an outcome into the table, and fails where the promise was not kept."""

    def hold(outcome: Outcome) -> None:
        for account in outcome.accounts:
            record_property(ACCOUNT, asdict(account))
        assert outcome.accounts[0].samples > 0
        assert outcome.complaints == []

    return hold


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    accounts = [
        Account(**value)
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, value in report.user_properties
        if name == ACCOUNT
    ]
    if accounts:
        terminalreporter.write_sep("=", "faults")
        # Not in the order in which the tests were shuffled.
        terminalreporter.write_line(markdown(sorted(accounts, key=lambda account: (account.fault, account.store))))
