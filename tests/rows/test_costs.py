"""However many rows and series a target has, and whatever comes for them, none costs more for all the others."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from receiver.rows.leaving import LATE_LOOK_BACK_ROWS
from tests.rows.bench import DEADLINE_MS, DISK, T0, Bench
from tests.torn_scrapes import DISK_A, DISK_B, IDLE_0, LOAD_1, STALE, Sample

MANY = range(40_000)


def cpu_seconds(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began


def each_moment(labels: dict[str, str], value: float) -> list[Sample]:
    return [(labels, T0 + step, value) for step in MANY]


def leave(bench: Bench, now_ms: int) -> None:
    while bench.assembler.depart(now_ms).more:
        pass


def test_a_marker_for_each_of_many_rows_costs_little_more_than_a_value(bench: Bench) -> None:
    bench.send(each_moment(LOAD_1, 1.0), T0)
    value = cpu_seconds(lambda: bench.send(each_moment(DISK_A, 1.0), T0))
    assert cpu_seconds(lambda: bench.send(each_moment(DISK_B, STALE), T0)) < 8 * value
    leave(bench, T0 + DEADLINE_MS)
    assert cpu_seconds(lambda: bench.send(each_moment(IDLE_0, STALE), T0 + DEADLINE_MS)) < 8 * value


def test_many_late_rows_that_lack_a_series_since_long_before_cost_little_more_than_others() -> None:
    def late(older: list[Sample]) -> float:
        bench = Bench()
        bench.send([(DISK_A, T0 + 10**6, 1.0), (DISK_B, T0 + 10**6, 1.0)], T0)
        leave(bench, T0 + DEADLINE_MS)
        bench.send([*older, *each_moment(DISK_A, 1.0)], T0 + DEADLINE_MS)
        return cpu_seconds(lambda: leave(bench, T0 + 2 * DEADLINE_MS))

    assert late([(DISK_B, T0 - 1, 1.0)]) < 40 * late([])


def test_a_late_row_lacks_a_series_that_ended_further_back_than_is_looked() -> None:
    bench = Bench()
    bench.send([(DISK_A, T0 + 10**6, 1.0), (DISK_B, T0 + 10**6, 1.0)], T0)
    leave(bench, T0 + DEADLINE_MS)
    rows = range(LATE_LOOK_BACK_ROWS + 2)
    ended = [(DISK_B, T0 - 1, STALE)]
    bench.send([*ended, *((DISK_A, T0 + step, 1.0) for step in rows)], T0 + DEADLINE_MS)
    remade = bench.depart(T0 + 2 * DEADLINE_MS).remade
    assert np.isnan(remade.raw[:, DISK]).tolist() == [step >= LATE_LOOK_BACK_ROWS for step in rows]


def test_many_series_that_are_silent_cost_a_row_little_more_than_as_many_that_are_not() -> None:
    disks = [{**DISK_A, "device": str(number)} for number in range(4000)]

    def row(silent_ms: int) -> float:
        bench = Bench()
        for step in range(3):
            bench.send([(disk, T0 + step * 1000, 1.0) for disk in disks], T0)
        bench.send([(DISK_A, T0 + 2000 + silent_ms, 1.0)], T0)
        return cpu_seconds(lambda: leave(bench, T0 + DEADLINE_MS))

    assert row(600_000) < 8 * row(1000)
