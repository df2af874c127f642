"""A service under the load of a sender, from its start to the account of what it holds.

`under_load` starts both. While it runs, a fault does what it does to the service, its disk, its clock or its
database. `Load.finish` lets the sender send all that it has left, waits until the stores hold it, and compares.
"""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from receiver import catalogue
from tests.faults import stored
from tests.faults.account import Account, Difference, difference
from tests.faults.fleet import Fleet
from tests.faults.oracle import Rows, expected_rows
from tests.faults.sender import Ledger, Sender, progress
from tests.servers.nodescore import Nodescore
from tests.servers.process import wait_until
from tests.servers.prometheus import fetch

CATALOGUE = catalogue.load()
NODES = 8
# Of a service, in its folder.
DATA_FOLDER = "nodescore-data"
# Longer than the sender's batch deadline, as the setting asks for; short, so that rows leave torn and are re-made.
ASSEMBLY_DEADLINE_SECONDS = 1.5
# After the last fault: a retry may be 60 s away where a Retry-After says so.
DRAIN_SECONDS = 120
# Then what is missing in a store is lost: some assembly deadlines, and the outbox's longest back-off.
EMBEDDED_SECONDS = 6
TIMESCALE_SECONDS = 45
POLL_SECONDS = 0.5


class Service(Nodescore):
    """A service that can be started without waiting for it, so that it can be killed before it is ready."""

    def spawn(self) -> None:
        """Start, and return at once."""
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=self.environment
            )

    def state(self) -> str:
        """What /-/ready says; nothing where nobody answers."""
        try:
            return fetch(f"{self.url}/-/ready")[1].decode()
        except OSError:
            return ""

    @property
    def embedded_path(self) -> Path:
        """The embedded store's file."""
        return self.data_dir / "nodescore.sqlite"


@dataclass(frozen=True)
class Outcome:
    """What a fault led to."""

    accounts: list[Account]
    differences: list[Difference]
    ledger: Ledger

    @property
    def complaints(self) -> list[str]:
        """All that must not be; empty where the promise was kept."""
        found = [f"dropped: {line}" for line in self.ledger.dropped]
        for account, unequal in zip(self.accounts, self.differences, strict=True):
            if not unequal.none:
                found.append(f"{account}")
                found += unequal.examples
        return found


class Load:
    """One service, one sender, one or two stores."""

    def __init__(self, service: Service, sender: Sender, dsn: str | None, seed: int) -> None:
        self.service = service
        self.sender = sender
        self.dsn = dsn
        self.random = random.Random(seed)

    @property
    def ledger(self) -> Ledger:
        """The sender's."""
        return self.sender.ledger

    def go_on(self, samples: int, timeout_seconds: float = 30) -> None:
        """Return when so many more samples have been acknowledged."""
        wait_until(progress(self.ledger, samples), f"{samples} more samples acknowledged", timeout_seconds)

    def linger(self, seconds: float) -> None:
        """Let time pass: a fault strikes at a random moment, or lasts for a while."""
        time.sleep(seconds)

    def finish(self, fault: str, injected: int) -> Outcome:
        """Everything is well again: the stores must come to hold what was acknowledged, and nothing else."""
        unanswered = self.sender.drain(DRAIN_SECONDS)
        if unanswered:
            raise AssertionError(
                f"{unanswered} samples are still refused {DRAIN_SECONDS} s after the last fault: {self.ledger.refusals}"
            )
        expected = expected_rows(self.ledger.samples(), CATALOGUE)
        stores = {"embedded": (self._embedded, EMBEDDED_SECONDS)}
        if self.dsn is not None:
            stores["TimescaleDB"] = (self._timescale, TIMESCALE_SECONDS)
        differences = [_settle(expected, read, patience) for read, patience in stores.values()]
        if self.service.stop() != 0:
            raise AssertionError(f"the service did not stop in order\n{self.service.tail()}")
        accounts = [
            Account(
                fault=fault,
                store=store,
                injected=injected,
                requests=self.ledger.requests,
                samples=len(self.ledger),
                expected=unequal.expected,
                found=unequal.found,
                lost=unequal.lost,
                duplicated=unequal.duplicated,
                wrong=unequal.wrong,
            )
            for store, unequal in zip(stores, differences, strict=True)
        ]
        return Outcome(accounts, differences, self.ledger)

    def _embedded(self) -> stored.Found:
        return stored.embedded(self.service.embedded_path, CATALOGUE)

    def _timescale(self) -> stored.Found:
        return stored.timescale(self.dsn or "", CATALOGUE)


def _settle(expected: Rows, read: Callable[[], stored.Found], patience_seconds: float) -> Difference:
    """The difference once there is none, or after the patience is over."""
    last = difference(expected, read())
    deadline = time.monotonic() + patience_seconds
    while not last.none and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        last = difference(expected, read())
    return last


@contextmanager
def under_load(
    folder: Path,
    seed: int,
    dsn: str | None = None,
    store: str | None = None,
    settings: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    devices_change: bool = True,
) -> Iterator[Load]:
    """A service in `folder` and a sender that sends to it; both end with the block.

    `dsn`: the TimescaleDB that is looked at; `store`: the same as the service reaches it, where that differs.
    """
    given = {"assembly_deadline_seconds": ASSEMBLY_DEADLINE_SECONDS} | dict(settings or {})
    service = Service(
        folder,
        [] if dsn is None else [f"--store={store or dsn}"],
        environment={f"NODESCORE_{name.upper()}": str(value) for name, value in given.items()}
        | dict(environment or {}),
    )
    service.start()
    sender = Sender(service.url, Fleet(NODES, seed, devices_change), seed)
    sender.start()
    try:
        yield Load(service, sender, dsn, seed)
    finally:
        sender.close()
        service.kill()
