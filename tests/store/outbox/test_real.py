"""The outbox before a real TimescaleDB that goes away: stopped, cut off in mid-block, or unreachable."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from receiver.columns import NodeName
from receiver.errors import StoreUnavailable
from receiver.store import Finished, RowStore
from receiver.store.embedded import EmbeddedStore
from receiver.store.outbox import Outbox
from receiver.store.timescale import TimescaleStore
from tests.servers.process import wait_until
from tests.servers.proxy import proxy_to
from tests.servers.timescale import GivenServer, TimescaleServer
from tests.store.data import (
    CATALOGUE,
    DAY_MS,
    FEATURES,
    HOUR_MS,
    T0,
    finished,
    label,
    names,
    scores_of,
    stored_rows,
    stored_scores,
)
from tests.store.proxy import DoorProxy

PUMP = NodeName("east", "pump-1")


def outbox_to(source: EmbeddedStore, dsn: str) -> Outbox:
    """An outbox that keeps an hour here and 30 days there."""
    return Outbox(source.path, CATALOGUE, lambda: TimescaleStore.connect(dsn, CATALOGUE), HOUR_MS, 30 * DAY_MS)


def flush(number: int, rows: int = 20) -> Finished:
    """Rows and scores of three nodes."""
    times = [T0 + 1000 * number + i for i in range(rows)]
    return finished(
        [(i % 3 + 1, time_ms, (number, i, time_ms)) for i, time_ms in enumerate(times)],
        scores=scores_of(*((i % 3 + 1, t, 0.5, (i, i, i), (0,) * FEATURES) for i, t in enumerate(times))),
    )


@contextmanager
def running(outbox: Outbox) -> Iterator[None]:
    """The outbox in its thread, as the service has it."""
    stop = threading.Event()
    thread = threading.Thread(target=outbox.run, args=(stop, lambda: T0))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def same(source: EmbeddedStore, dsn: str) -> bool:
    """True where the server has what the file has."""
    target: RowStore = TimescaleStore.connect(dsn, CATALOGUE)
    try:
        return stored_rows(target) == stored_rows(source) and stored_scores(target) == stored_scores(source)
    finally:
        target.close()


def drain(outbox: Outbox) -> None:
    while outbox.forward_once(T0):
        pass
    outbox.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries come fast, so that tests need not wait."""
    monkeypatch.setattr("receiver.store.outbox.IDLE_SECONDS", 0.01)
    monkeypatch.setattr("receiver.store.outbox.LAST_RETRY_SECONDS", 0.05)


def test_everything_arrives(embedded: EmbeddedStore, timescale_dsn: str) -> None:
    embedded.add_nodes(names(3))
    embedded.write(flush(0))
    embedded.add_label(label(PUMP, T0, T0 + 5))
    drain(outbox_to(embedded, timescale_dsn))
    assert same(embedded, timescale_dsn)
    target = TimescaleStore.connect(timescale_dsn, CATALOGUE)
    assert target.labels(0, 1 << 50) == embedded.labels(0, 1 << 50)
    target.close()


def test_a_server_that_is_unreachable_for_a_while_gets_everything_afterwards(
    embedded: EmbeddedStore, timescale_dsn: str
) -> None:
    embedded.add_nodes(names(3))
    with proxy_to(timescale_dsn, DoorProxy) as (proxy, dsn):
        proxy.close_door()
        outbox = outbox_to(embedded, dsn)
        with running(outbox):
            for number in range(10):
                embedded.write(flush(number))  # nobody else notices
            wait_until(lambda: outbox.lag.rows_waiting == 200, "all rows wait")
            assert outbox.lag.error is not None
            assert outbox.lag.oldest_ms == T0
            proxy.open_door()
            wait_until(lambda: outbox.lag.rows_waiting == 0, "no row waits")
            assert outbox.lag.error is None
        assert same(embedded, timescale_dsn)


def test_a_connection_that_is_cut_while_idle_is_made_anew(embedded: EmbeddedStore, timescale_dsn: str) -> None:
    embedded.add_nodes(names(3))
    with proxy_to(timescale_dsn, DoorProxy) as (proxy, dsn):
        outbox = outbox_to(embedded, dsn)
        embedded.write(flush(0))
        assert outbox.forward_once(T0) == 40
        proxy.cut()
        embedded.write(flush(1))
        with pytest.raises(StoreUnavailable):
            outbox.forward_once(T0)
        assert outbox.forward_once(T0) == 40
        outbox.close()
    assert same(embedded, timescale_dsn)


def test_a_block_that_is_cut_off_anywhere_arrives_once(embedded: EmbeddedStore, timescale_dsn: str) -> None:
    embedded.add_nodes(names(3))
    cuts = 0
    with proxy_to(timescale_dsn, DoorProxy) as (proxy, dsn):
        # From the first byte of the connection on, through tables, names, COPY and commit, to the last of the block.
        for number, client_bytes in enumerate(np.linspace(1, 12_000, 25).astype(int).tolist()):
            embedded.write(flush(number))
            outbox = outbox_to(embedded, dsn)
            proxy.cut_after(client_bytes)
            try:
                outbox.forward_once(T0)
            except StoreUnavailable:
                cuts += 1
            outbox.close()
            proxy.open_door()
            drain(outbox_to(embedded, dsn))
    assert cuts > 10
    assert same(embedded, timescale_dsn)


def test_a_server_that_is_stopped_and_started_gets_everything(
    embedded: EmbeddedStore, timescale: TimescaleServer, timescale_dsn: str
) -> None:
    if isinstance(timescale, GivenServer):
        pytest.skip("the server of the environment is not ours to stop")
    embedded.add_nodes(names(3))
    outbox = outbox_to(embedded, timescale_dsn)
    with running(outbox):
        embedded.write(flush(0))
        wait_until(lambda: outbox.lag.error is None and same(embedded, timescale_dsn), "the first rows arrived")
        timescale.stop()
        embedded.write(flush(1))
        wait_until(lambda: outbox.lag.error is not None, "the outage is said")
        embedded.write(flush(2))
        wait_until(lambda: outbox.lag.rows_waiting == 40, "rows wait")
        timescale.start()
        wait_until(lambda: outbox.lag.error is None and outbox.lag.rows_waiting == 0, "no row waits")
    assert same(embedded, timescale_dsn)


def test_a_database_that_is_not_fit_is_said_and_waited_for(embedded: EmbeddedStore) -> None:
    embedded.add_nodes(names(3))
    embedded.write(flush(0))
    outbox = outbox_to(embedded, "postgresql://[::1/db")
    with running(outbox):
        wait_until(lambda: outbox.lag.error is not None, "the error is said")
        assert outbox.lag.rows_waiting == 20
        assert "not a DSN" in str(outbox.lag.error)


def test_replicas_that_forward_at_once_share_the_nodes(tmp_path: Path, timescale_dsn: str) -> None:
    sources = [EmbeddedStore.open(tmp_path / f"{i}.db", CATALOGUE, "normal") for i in range(2)]
    sources[0].add_nodes({1: NodeName("east", "a"), 2: NodeName("east", "b")})
    sources[1].add_nodes({1: NodeName("east", "b"), 2: NodeName("east", "a")})
    for number in range(20):
        # The same rows in both, under other ids: an HA pair, or a node that moves.
        sources[0].write(finished([(1, T0 + number, (1, number, 0)), (2, T0 + number, (2, number, 0))]))
        sources[1].write(finished([(2, T0 + number, (1, number, 0)), (1, T0 + number, (2, number, 0))]))
    outboxes = [outbox_to(source, timescale_dsn) for source in sources]
    threads = [threading.Thread(target=drain, args=(outbox,)) for outbox in outboxes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [outbox.lag.error for outbox in outboxes] == [None, None]
    assert same(sources[0], timescale_dsn)
    assert same(sources[1], timescale_dsn)
    for source in sources:
        source.close()
