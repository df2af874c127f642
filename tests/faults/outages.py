"""What befalls the connection to TimescaleDB. Senders must never notice: no request of theirs is refused."""

from __future__ import annotations

from tests.faults.load import Load, Outcome
from tests.faults.postgres_proxy import Cut, LoseCommit, PostgresProxy
from tests.servers.process import wait_until
from tests.servers.timescale import TimescaleServer

# A block of this load has some 20 KiB of COPY data, most of it in the first half of a connection's life.
MOST_COPY_BYTES = 20_000
SLOW_ANSWER_SECONDS = 0.5


def stop_database(load: Load, server: TimescaleServer, times: int, seconds: float) -> Outcome:
    """Stop the server for so long, several times; each begins with some rows passed on."""
    for _ in range(times):
        load.go_on(2000)
        server.stop()
        load.linger(seconds)
        server.start()
        wait_until(lambda: _passes_on(load), "rows are passed on again", 60)
    return load.finish("TimescaleDB down", times)


def break_copies(load: Load, proxy: PostgresProxy, times: int) -> Outcome:
    """Break the connection within a COPY or between a COMMIT and its answer; between two, a block may pass."""
    for _ in range(times):
        proxy.strike(LoseCommit() if load.random.random() < 0.3 else Cut(load.random.randrange(MOST_COPY_BYTES)))
        wait_until(lambda: not proxy.strikes_left, "the connection is broken", 60)
        wait_until(lambda: _passes_on(load), "rows are passed on again", 60)
    return load.finish("connection cut within COPY or at COMMIT", proxy.strikes)


def answer_slowly(load: Load, proxy: PostgresProxy, seconds: float) -> Outcome:
    """Each answer of the server comes late for a while."""
    load.go_on(2000)
    proxy.delay_seconds = SLOW_ANSWER_SECONDS
    load.linger(seconds)
    proxy.delay_seconds = 0.0
    return load.finish("slow TimescaleDB", 1)


def _passes_on(load: Load) -> bool:
    """True where the outbox has no error."""
    return "TimescaleDB: ok" in load.service.state()
