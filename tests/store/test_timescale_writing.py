"""New rows are added and others merged, and one cannot tell from the tables which of the two happened."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from receiver.columns import NodeName
from receiver.store import Finished
from receiver.store.timescale import TimescaleStore
from receiver.store.timescale.novelty import Newest
from tests.servers.process import wait_until
from tests.servers.timescale import TimescaleServer, empty_database
from tests.store.data import (
    CATALOGUE,
    DAY_MS,
    NAN,
    SCHEMA,
    T0,
    Database,
    finished,
    names,
    scores_of,
    stored_rows,
    stored_scores,
)

PUMP = NodeName("east", "pump-1")
Replica = Callable[[], TimescaleStore]


@pytest.fixture
def replica(timescale_dsn: str) -> Iterator[Replica]:
    """Makes connections, each of a service of its own that knows nothing of the others' rows."""
    with ExitStack() as stack:

        def connect() -> TimescaleStore:
            store = TimescaleStore.connect(timescale_dsn, CATALOGUE)
            stack.callback(store.close)
            store.add_nodes(names(3))
            return store

        yield connect


def flush(times: range, value: float, score: float) -> Finished:
    """A row and a score of pump 1 at each of these times."""
    return finished(
        [(1, T0 + i, (value, NAN, i)) for i in times],
        scores=scores_of(*((1, T0 + i, score, (value,) * 3, (0, 1, 2)) for i in times)),
    )


def test_rows_that_another_replica_has_written_are_merged_with_its_rows(replica: Replica) -> None:
    first, second = replica(), replica()
    first.write(finished([(1, T0, (1, 2, NAN))]))
    second.write(finished([(1, T0, (5, NAN, 7)), (1, T0 + 1, (8, 8, 8))]))
    assert stored_rows(first) == {(PUMP, T0): (5, 2, 7), (PUMP, T0 + 1): (8, 8, 8)}


def test_a_score_that_another_replica_has_written_stays(replica: Replica) -> None:
    first, second = replica(), replica()
    first.write(finished(scores=scores_of((1, T0, 0.25, (1, 1, 1), (0, 0, 0)))))
    second.write(flush(range(2), 9, 0.5))
    assert {time_ms: score for (_, time_ms), (score, _, _) in stored_scores(first).items()} == {T0: 0.25, T0 + 1: 0.5}
    assert len(stored_rows(first)) == 2


def test_a_replica_that_always_comes_second_changes_what_it_should(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receiver.store.timescale.writing.MERGE_AFTER_COLLISION", 1)
    first, second = replica(), replica()
    for number in range(6):
        times = range(10 * number, 10 * number + 10)
        first.write(flush(times, 1, 0.25))
        second.write(flush(times, 2, 0.5))
    assert stored_rows(first) == {(PUMP, T0 + i): (2, None, i) for i in range(60)}
    assert {score for score, _, _ in stored_scores(first).values()} == {0.25}


def test_a_writer_that_waits_for_a_row_holds_none_behind_it(
    replica: Replica, timescale_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receiver.store.timescale.writing.COLLISIONS", (psycopg.errors.UniqueViolation,))
    monkeypatch.setattr("receiver.store.timescale.writing.MERGE_AFTER_COLLISION", 0)
    store = replica()
    store.write(
        finished([(2, T0, (0, 0, 0))])
    )  # so that the next block has known rows and new ones; that after it has only new ones
    block = [(node, T0 + time, (node, time, 0)) for time in (2, 1, 0) for node in (3, 1, 2)]
    insert = (
        f"INSERT INTO {SCHEMA}.pump_samples (node, time) SELECT id, "
        f"timestamptz 'epoch' + %s * interval '1 millisecond' FROM {SCHEMA}.nodes WHERE name = 'pump-1'"
    )
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    with psycopg.connect(timescale_dsn) as other, psycopg.connect(timescale_dsn, autocommit=True) as observer:
        for first, behind in ((T0, T0 + 1), (T0 + 11, T0 + 12)):
            other.execute(insert, (first,))
            shifted = [(node, time_ms + first - T0, raw) for node, time_ms, raw in block]
            thread = threading.Thread(target=store.write, args=(finished(shifted),))
            thread.start()
            wait_until(lambda: observer.execute(waiting).fetchone() == (1,), "the store waits")
            other.execute(insert, (behind,))  # which would wait for the store in turn, if that held it
            other.commit()
            thread.join()
    assert len(stored_rows(store)) == 18


def test_replicas_that_write_the_same_rows_at_once_store_each_once(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Within a chunk nobody needs the way out of a deadlock; and it is always tried to add.
    monkeypatch.setattr("receiver.store.timescale.writing.COLLISIONS", (psycopg.errors.UniqueViolation,))
    monkeypatch.setattr("receiver.store.timescale.writing.MERGE_AFTER_COLLISION", 0)
    count, blocks = 400, 8
    stores = [replica(), replica(), replica()]
    together = threading.Barrier(len(stores))
    failures: list[Exception] = []

    def write(seed: int, store: TimescaleStore) -> None:
        order = np.random.default_rng(seed)
        for number in range(blocks):
            # Of three nodes in turn; the later ones of a block are partly those of the next, which come again.
            several = [(i % 3 + 1, T0 + i, (i, i, i)) for i in range(number * count, (number + 1) * count + 50)]
            together.wait(60)
            try:
                store.write(finished([several[i] for i in order.permutation(len(several))]))
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=write, args=each) for each in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(values for values in stored_rows(stores[0]).values()) == [
        (i,) * 3 for i in range(blocks * count + 50)
    ]


def test_a_row_and_its_fill_of_one_block_are_one_row(replica: Replica) -> None:
    store = replica()
    store.write(finished([(1, T0, (1, NAN, NAN)), (1, T0 + DAY_MS, (2, 2, 2))], fills=[(1, T0, (5, 6, NAN))]))
    assert stored_rows(store) == {(PUMP, T0): (1, 6, None), (PUMP, T0 + DAY_MS): (2, 2, 2)}


def test_new_rows_leave_no_dead_ones(replica: Replica, database: Database) -> None:
    store = replica()
    for number in range(3):
        store.write(flush(range(10 * number, 10 * number + 10), 1, 0.5))
    # A row that was updated or rolled back leaves its first version, and the new one stands behind it.
    chunks = database.execute("SELECT show_chunks('pump_samples')::text").fetchall()
    places = [database.execute(f"SELECT ctid::text FROM {chunk}").fetchall() for (chunk,) in chunks]
    assert sorted(int(str(place[0]).strip("()").split(",")[1]) for several in places for place in several) == [
        *range(1, 31)
    ]


VALUES = st.one_of(st.just(NAN), st.floats(width=32))
TRIPLES = st.tuples(VALUES, VALUES, VALUES)


@pytest.fixture(scope="module")
def adding_and_merging(timescale: TimescaleServer) -> Iterator[tuple[TimescaleStore, TimescaleStore]]:
    """Two databases: the second always merges, because each block repeats its first row."""
    with empty_database(timescale) as first, empty_database(timescale) as second:
        stores = TimescaleStore.connect(first, CATALOGUE), TimescaleStore.connect(second, CATALOGUE)
        for store in stores:
            store.add_nodes(names(3))
        yield stores
        for store in stores:
            store.close()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(block=st.lists(st.tuples(TRIPLES, VALUES, TRIPLES, TRIPLES), min_size=1, max_size=12), start=st.integers(0, 99))
def test_whatever_is_missing_adding_gives_what_merging_gives(
    adding_and_merging: tuple[TimescaleStore, TimescaleStore],
    block: list[tuple[tuple[float, ...], float, tuple[float, ...], tuple[float, ...]]],
    start: int,
) -> None:
    for store, last in zip(adding_and_merging, (0, 1), strict=True):
        store.delete_before(T0 + 1000 * DAY_MS)
        fresh = TimescaleStore(store._connection, CATALOGUE, [])  # which has not seen any row
        fresh.add_nodes(names(3))
        rows = [(1, T0 + start + i, raw) for i, (raw, *_) in enumerate(block)]
        scores = [(1, T0 + start + i, score, x, part) for i, (_, score, x, part) in enumerate(block)]
        # The last row once more, with nothing new in it, so that all before it are merged too.
        fresh.write(finished(rows + rows[-1:] * last, scores=scores_of(*scores, *scores[-1:] * last)))
    added, merged = adding_and_merging
    assert stored_rows(added) == stored_rows(merged)
    assert len(stored_rows(added)) == len(block)
    assert repr(stored_scores(added)) == repr(stored_scores(merged))  # a score may be NaN, which equals nothing


KEYS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6)), max_size=20)


def arrays(keys: list[tuple[int, int]]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Nodes and times."""
    pairs = np.array(keys, np.int64).reshape(-1, 2)
    return pairs[:, 0].astype(np.int32), pairs[:, 1]


@given(written=KEYS, keys=KEYS)
def test_what_is_new_was_not_written_and_stands_once_behind_all_that_is_known(
    written: list[tuple[int, int]], keys: list[tuple[int, int]]
) -> None:
    newest = Newest()
    newest.written(*arrays(written))
    split = newest.split(*arrays(keys))
    known, new = ([keys[place] for place in places] for places in (split.known, split.new))
    in_order = [(time, node) for node, time in known + new]
    assert in_order == sorted((time, node) for node, time in keys)
    assert not set(new) & set(written)
    assert len(set(new)) == len(new)
    assert not set(new) & set(known)
    assert split.part.tolist() == [known[:i].count(key) for i, key in enumerate(known)]
    assert all(a < b for a, b in pairwise(split.known.tolist()) if keys[a] == keys[b])  # in their order


def test_the_rows_of_all_nodes_that_come_next_are_new() -> None:
    newest = Newest()
    for time_ms in range(3):
        node, times = np.arange(5, dtype=np.int32)[::-1].copy(), np.full(5, time_ms, np.int64)
        split = newest.split(node, times)
        assert split.known.tolist() == []
        assert split.new.tolist() == [4, 3, 2, 1, 0]
        newest.written(node, times)
