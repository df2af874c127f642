"""Rows from torn scrapes: what leaves, when, and with which values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver import catalogue
from receiver.columns import Bool, Rows, Samples
from receiver.features import Features
from receiver.rows import Assembler, GivenUp, Room, Timing
from receiver.rows.arriving import FEWEST_CELLS
from receiver.rows.assembler import BLOCK_ROWS
from receiver.rows.held import TORN_HORIZON_MS
from receiver.rows.letting_go import ROW_SAMPLES
from receiver.series import SeriesTable
from tests.torn_scrapes import (
    DISK_A,
    DISK_B,
    IDLE_0,
    IDLE_1,
    LOAD_1,
    STALE,
    Sample,
    Torn,
    torn_scrapes,
)
from tests.torn_scrapes import FEATURES as TORN_FEATURES

CATALOGUE = catalogue.load()
CPU, LOAD, DISK, AVAILABLE = (
    CATALOGUE.feature_names.index(n) for n in ("cpu_sec_idle", "load1", "disk_read", "mem_av_per")
)
DEADLINE_MS, HORIZON_MS = 7000, 60_000
T0 = 1_763_600_000_000

FEATURES = Features(CATALOGUE)


@dataclass(frozen=True)
class Departed:
    """Rows that have left, with their features."""

    rows: Rows
    incomplete: Bool
    remade: Rows
    fills: Rows
    given_up: GivenUp


class Bench:
    """An assembler fed by labels, with a journal number for each request."""

    def __init__(self, spare_samples: int = 0, torn_samples: int = 1_000_000) -> None:
        self.table = SeriesTable(CATALOGUE, 10_000, 100)
        timing, room = Timing(DEADLINE_MS, HORIZON_MS, 300_000), Room(spare_samples, torn_samples)
        self.assembler = Assembler(self.table, len(CATALOGUE.terms), timing, room)
        self.seq = 0

    def send(self, samples: Sequence[Sample], now_ms: int, instance: str = "a:9100") -> None:
        self.seq += 1
        ids = [self.table.resolve({"instance": instance, "job": "node", **labels}) for labels, _, _ in samples]
        times, values = [time_ms for _, time_ms, _ in samples], [value for _, _, value in samples]
        self.assembler.add(
            Samples(np.array(ids, np.int32), np.array(times, np.int64), np.array(values, np.float64)), self.seq, now_ms
        )

    def warm(self, *labels: dict[str, str], value: float = 100.0) -> None:
        """A first scrape at T0, which has left at its deadline."""
        self.send([(one, T0, value) for one in labels], T0)
        assert len(self.depart(T0 + DEADLINE_MS).rows) == 1

    def depart(self, now_ms: int) -> Departed:
        departure = self.assembler.depart(now_ms)
        again, fills = FEATURES.rows(departure.again), departure.again.fills
        rows, incomplete = FEATURES.rows(departure.rows), departure.rows.incomplete
        return Departed(rows, incomplete, again.where(~fills), again.where(fills), departure.given_up)


def raw(departed: Departed, feature: int) -> list[float]:
    return [float(value) for value in departed.rows.raw[:, feature]]


def x(departed: Departed, feature: int) -> list[float]:
    return [float(value) for value in departed.rows.x[:, feature]]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_the_first_row_of_a_target_waits_for_its_deadline(bench: Bench) -> None:
    bench.send([(LOAD_1, T0, 1.0)], T0)
    assert len(bench.depart(T0 + DEADLINE_MS - 1).rows) == 0
    assert raw(bench.depart(T0 + DEADLINE_MS), LOAD) == [1.0]


def test_a_later_row_leaves_as_soon_as_every_live_series_has_arrived(bench: Bench) -> None:
    bench.warm(IDLE_0, IDLE_1)
    bench.send([(IDLE_0, T0 + 10_000, 110.0)], T0 + 10_000)
    assert len(bench.depart(T0 + 10_000).rows) == 0
    bench.send([(IDLE_1, T0 + 10_000, 110.0)], T0 + 10_050)
    departure = bench.depart(T0 + 10_050)
    assert raw(departure, CPU) == [220.0]
    assert departure.incomplete.tolist() == [False]


def test_a_rate_is_made_per_series_and_divided_by_the_cpus(bench: Bench) -> None:
    bench.warm(IDLE_0, IDLE_1)
    bench.send([(IDLE_0, T0 + 10_000, 110.0), (IDLE_1, T0 + 10_000, 104.0)], T0 + 10_000)
    assert x(bench.depart(T0 + 10_000), CPU) == pytest.approx([0.7])


def test_the_rise_of_a_counter_that_was_reset_is_its_new_value(bench: Bench) -> None:
    bench.warm(DISK_A, DISK_B)
    bench.send([(DISK_A, T0 + 10_000, 130.0), (DISK_B, T0 + 10_000, 20.0)], T0 + 10_000)
    assert x(bench.depart(T0 + 10_000), DISK) == pytest.approx([3.0 + 2.0])


def test_a_first_row_has_no_rate(bench: Bench) -> None:
    bench.send([(DISK_A, T0, 1.0)], T0)
    assert np.isnan(x(bench.depart(T0 + DEADLINE_MS), DISK)).all()


def test_no_rate_is_made_across_a_gap_over_the_limit(bench: Bench) -> None:
    bench.warm(DISK_A)
    bench.send([(DISK_A, T0 + 300_001, 200.0)], T0 + 300_001)
    departure = bench.depart(T0 + 300_001 + DEADLINE_MS)
    assert raw(departure, DISK) == [200.0]
    assert np.isnan(x(departure, DISK)).all()


def test_a_feature_that_lacks_a_series_is_missing_and_never_a_partial_sum(bench: Bench) -> None:
    bench.warm(IDLE_0, IDLE_1, LOAD_1)
    bench.send([(IDLE_0, T0 + 10_000, 110.0), (LOAD_1, T0 + 10_000, 2.0)], T0 + 10_000)
    departure = bench.depart(T0 + 10_000 + DEADLINE_MS)
    assert np.isnan(raw(departure, CPU)).all()
    assert raw(departure, LOAD) == [2.0]
    assert departure.incomplete.tolist() == [True]


def test_a_device_that_comes_later_counts_at_once_and_has_its_rate_a_row_later(bench: Bench) -> None:
    bench.warm(DISK_A)
    for step in (1, 2):
        at = T0 + step * 10_000
        bench.send([(DISK_B, at, 50.0 * step), (DISK_A, at, 100.0 + 10 * step)], at)
        departure = bench.depart(at)
        assert raw(departure, DISK) == [100.0 + 10 * step + 50.0 * step]
        assert x(departure, DISK) == pytest.approx([math.nan if step == 1 else 1.0 + 5.0], nan_ok=True)


def test_a_staleness_marker_counts_as_arrival_and_ends_its_series(bench: Bench) -> None:
    bench.warm(DISK_A, DISK_B)
    bench.send([(DISK_A, T0 + 10_000, 110.0), (DISK_B, T0 + 10_000, STALE)], T0 + 10_000)
    departure = bench.depart(T0 + 10_000)
    assert raw(departure, DISK) == [110.0]
    assert x(departure, DISK) == pytest.approx([1.0])
    bench.send([(DISK_A, T0 + 20_000, 120.0)], T0 + 20_000)
    assert raw(bench.depart(T0 + 20_000), DISK) == [120.0]


def test_a_series_unseen_for_five_scrapes_is_no_longer_waited_for(bench: Bench) -> None:
    bench.warm(DISK_A, DISK_B)
    for step in range(1, 7):
        bench.send([(DISK_A, T0 + step * 10_000, 100.0)], T0 + step * 10_000)
        left = len(bench.depart(T0 + step * 10_000).rows)
        if step < 6:
            assert left == 0
            bench.depart(T0 + step * 10_000 + DEADLINE_MS)
    assert left == 1


def test_a_failed_scrape_makes_no_row(bench: Bench) -> None:
    bench.warm(DISK_A, LOAD_1)
    bench.send([(DISK_A, T0 + 10_000, STALE), (LOAD_1, T0 + 10_000, STALE)], T0 + 10_000)
    assert len(bench.depart(T0 + 10_000).rows) == 0
    assert bench.assembler.open_rows == 0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_number_is_missing(bench: Bench, value: float) -> None:
    bench.warm(DISK_A, LOAD_1)
    bench.send([(DISK_A, T0 + 10_000, value), (LOAD_1, T0 + 10_000, 1.0)], T0 + 10_000)
    departure = bench.depart(T0 + 10_000)
    assert np.isnan(raw(departure, DISK)).all()
    assert raw(departure, LOAD) == [1.0]


def test_a_metric_that_does_not_exist_is_missing(bench: Bench) -> None:
    bench.send([(LOAD_1, T0, 1.0)], T0)
    departure = bench.depart(T0 + DEADLINE_MS)
    assert np.isnan(raw(departure, AVAILABLE)).all()
    assert departure.incomplete.tolist() == [False]


def test_load_is_divided_by_the_number_of_cpus(bench: Bench) -> None:
    bench.send([(LOAD_1, T0, 3.0), (IDLE_0, T0, 1.0), (IDLE_1, T0, 1.0)], T0)
    assert x(bench.depart(T0 + DEADLINE_MS), LOAD) == [1.5]


def test_a_quotient_of_two_metrics(bench: Bench) -> None:
    available = {"__name__": "node_memory_MemAvailable_bytes"}
    total = {"__name__": "node_memory_MemTotal_bytes"}
    bench.send([(available, T0, 3.0), (total, T0, 4.0)], T0)
    assert raw(bench.depart(T0 + DEADLINE_MS), AVAILABLE) == [75.0]


def test_the_fallback_is_used_where_the_first_source_does_not_exist(bench: Bench) -> None:
    column = CATALOGUE.feature_names.index("est_conn")
    bench.send([({"__name__": "node_netstat_Tcp_CurrEstab"}, T0, 7.0)], T0)
    assert raw(bench.depart(T0 + DEADLINE_MS), column) == [7.0]


def test_a_connection_state_that_is_omitted_is_zero_where_the_others_have_been_seen(bench: Bench) -> None:
    column = CATALOGUE.feature_names.index("est_conn")
    listen = {"__name__": "node_tcp_connection_states", "state": "listen"}
    bench.send([({"__name__": "node_netstat_Tcp_CurrEstab"}, T0, 7.0), (listen, T0, 3.0)], T0)
    assert raw(bench.depart(T0 + DEADLINE_MS), column) == [0.0]


def test_rows_of_a_target_leave_in_time_order_even_if_the_later_is_complete_first(bench: Bench) -> None:
    bench.warm(DISK_A, DISK_B)
    bench.send([(DISK_A, T0 + 10_000, 110.0)], T0 + 10_000)
    bench.send([(DISK_A, T0 + 20_000, 120.0), (DISK_B, T0 + 20_000, 120.0)], T0 + 20_000 - DEADLINE_MS)
    assert len(bench.depart(T0 + 16_999).rows) == 0
    departure = bench.depart(T0 + 17_000)
    assert departure.rows.time_ms.tolist() == [T0 + 10_000, T0 + 20_000]


def test_samples_after_a_row_has_left_re_make_it(bench: Bench) -> None:
    bench.warm(DISK_A, DISK_B)
    bench.send([(DISK_A, T0 + 10_000, 110.0)], T0 + 10_000)
    bench.depart(T0 + 10_000 + DEADLINE_MS)
    bench.send([(DISK_B, T0 + 10_000, 120.0)], T0 + 20_000)
    departure = bench.depart(T0 + 20_000)
    assert len(departure.rows) == 0
    assert departure.remade.raw[:, DISK].tolist() == [230.0]
    assert len(bench.depart(T0 + 20_000).remade) == 0


def test_samples_for_a_row_that_was_let_go_only_fill_what_the_stored_one_lacks() -> None:
    bench = Bench(torn_samples=0)
    bench.warm(DISK_A, LOAD_1)
    bench.send([(DISK_A, T0 + 10_000, 110.0)], T0 + 10_000)
    late_ms = T0 + 10_000 + DEADLINE_MS + HORIZON_MS
    bench.depart(T0 + 10_000 + DEADLINE_MS)
    bench.depart(late_ms)
    bench.send([(LOAD_1, T0 + 10_000, 2.0)], late_ms)
    departure = bench.depart(late_ms + DEADLINE_MS)
    assert (len(departure.rows), len(departure.remade)) == (0, 0)
    assert departure.fills.raw[:, LOAD].tolist() == [2.0]
    assert np.isnan(departure.fills.raw[:, DISK]).all()


def test_a_row_that_lacks_a_sample_is_held_for_it_long_after_the_horizon(bench: Bench) -> None:
    bench.warm(DISK_A, DISK_B)
    bench.send([(DISK_A, T0 + 10_000, 110.0)], T0 + 10_000)
    left_ms = T0 + 10_000 + DEADLINE_MS
    bench.depart(left_ms)
    bench.depart(left_ms + TORN_HORIZON_MS - 1)
    bench.send([(DISK_B, T0 + 10_000, 120.0)], left_ms + TORN_HORIZON_MS - 1)
    departure = bench.depart(left_ms + TORN_HORIZON_MS - 1)
    assert departure.remade.raw[:, DISK].tolist() == [230.0]
    assert departure.given_up == (0, 0)
    bench.depart(left_ms + TORN_HORIZON_MS - 1 + HORIZON_MS)  # its horizon began when it was whole
    assert bench.assembler.held_samples == 0


def test_a_row_that_lacks_a_sample_is_given_up_for_its_age(bench: Bench) -> None:
    bench.warm(DISK_A, DISK_B)
    bench.send([(DISK_A, T0 + 10_000, 110.0)], T0 + 10_000)
    bench.depart(T0 + 10_000 + DEADLINE_MS)
    assert bench.depart(T0 + 10_000 + DEADLINE_MS + TORN_HORIZON_MS).given_up == (1, 0)
    assert bench.assembler.held_samples == 0


def test_the_oldest_rows_that_lack_a_sample_are_given_up_where_there_is_no_room() -> None:
    bench = Bench(torn_samples=2 * (FEWEST_CELLS + ROW_SAMPLES))
    bench.warm(DISK_A, DISK_B)
    bench.depart(T0 + DEADLINE_MS + HORIZON_MS)
    for step in (10, 11, 12):
        at = T0 + step * 10_000
        bench.send([(DISK_A, at, 110.0)], at)
        assert bench.depart(at + DEADLINE_MS).given_up == (0, int(step == 12))
    late_ms = T0 + 130_000
    bench.send([(DISK_B, T0 + step * 10_000, 120.0) for step in (10, 11, 12)], late_ms)
    departure = bench.depart(late_ms + DEADLINE_MS)
    assert departure.remade.raw[:, DISK].tolist() == [230.0, 230.0]
    assert np.isnan(departure.fills.raw[:, DISK]).all()


def test_a_row_with_a_value_that_is_no_number_lacks_no_sample(bench: Bench) -> None:
    bench.warm(DISK_A, LOAD_1)
    bench.send([(DISK_A, T0 + 10_000, math.nan), (LOAD_1, T0 + 10_000, 1.0)], T0 + 10_000)
    bench.depart(T0 + 10_000)
    bench.depart(T0 + 10_000 + HORIZON_MS)
    assert bench.assembler.held_samples == 0


def test_whole_rows_are_held_for_longer_while_there_is_room_to_spare() -> None:
    bench = Bench(spare_samples=FEWEST_CELLS + ROW_SAMPLES)
    bench.warm(DISK_A)
    bench.depart(T0 + DEADLINE_MS + TORN_HORIZON_MS - 1)
    bench.send([(DISK_B, T0, 7.0)], T0 + DEADLINE_MS + TORN_HORIZON_MS - 1)
    assert bench.depart(T0 + DEADLINE_MS + TORN_HORIZON_MS - 1).remade.raw[:, DISK].tolist() == [107.0]
    bench.depart(T0 + DEADLINE_MS + TORN_HORIZON_MS)
    assert bench.assembler.held_samples == 0


def test_what_need_not_be_held_is_let_go_at_once() -> None:
    bench = Bench(spare_samples=1_000_000)
    bench.warm(DISK_A, DISK_B)
    bench.send([(DISK_A, T0 + 70_000, 110.0)], T0 + 70_000)
    bench.depart(T0 + 70_000 + DEADLINE_MS)
    assert bench.assembler.let_go(T0 + 70_000 + DEADLINE_MS) == (0, 1)
    assert bench.assembler.held_samples == 0


def test_a_row_that_is_to_leave_again_is_not_let_go_before() -> None:
    bench = Bench()
    many = range(BLOCK_ROWS + 5)
    bench.send([(LOAD_1, T0 + step, 1.0) for step in many], T0)
    for _ in range(2):
        bench.depart(T0 + DEADLINE_MS)
    late_ms = T0 + DEADLINE_MS + HORIZON_MS
    bench.send([(DISK_A, T0 + step, 1.0) for step in many], late_ms)
    left = [len(bench.depart(late_ms).remade) for _ in range(2)]
    assert left == [BLOCK_ROWS, 5]
    assert bench.assembler.held_samples == 0


def test_a_feature_of_a_series_that_is_silent_without_a_marker_stays_missing_until_it_is_back(bench: Bench) -> None:
    bench.warm(DISK_A, DISK_B)
    for step in range(1, 9):
        at = T0 + step * 10_000
        bench.send([(DISK_A, at, 100.0)], at)
        assert np.isnan(raw(bench.depart(at + DEADLINE_MS), DISK)).all()
    bench.send([(DISK_B, T0 + step * 10_000, 100.0) for step in range(1, 9)], T0 + 90_000)
    assert bench.depart(T0 + 90_000).remade.raw[:, DISK].tolist() == [200.0] * 8


def test_a_series_that_took_a_silent_ones_place_makes_up_for_it(bench: Bench) -> None:
    renamed = {**DISK_B, "rack": "r2"}
    bench.warm(DISK_A, DISK_B)
    for step in range(1, 8):
        at = T0 + step * 10_000
        bench.send([(DISK_A, at, 100.0), (renamed, at, 100.0)], at)
        departure = bench.depart(at + DEADLINE_MS)
        assert departure.incomplete.tolist() == [step < 6]
    assert raw(departure, DISK) == [200.0]


def test_a_series_that_has_been_silent_for_too_long_is_no_longer_expected(bench: Bench) -> None:
    bench.warm(DISK_A, DISK_B)
    at = T0
    for at in (T0 + 10_000, T0 + TORN_HORIZON_MS, T0 + TORN_HORIZON_MS + 10_000):
        bench.send([(DISK_A, at, 100.0)], at)
        departure = bench.depart(at + DEADLINE_MS)
    assert raw(departure, DISK) == [100.0]


def test_a_series_that_is_always_late_stays_expected(bench: Bench) -> None:
    bench.warm(DISK_A, DISK_B)
    for step in range(1, 9):
        at = T0 + step * 10_000
        bench.send([(DISK_A, at, 100.0)], at)
        departure = bench.depart(at + DEADLINE_MS)
        assert departure.incomplete.tolist() == [True]
        assert np.isnan(raw(departure, DISK)).all()
        bench.send([(DISK_B, at, 100.0)], at + DEADLINE_MS + 1000)
        assert bench.depart(at + DEADLINE_MS + 1000).remade.raw[:, DISK].tolist() == [200.0]


def test_a_late_staleness_marker_ends_its_series_and_makes_no_row(bench: Bench) -> None:
    bench.warm(DISK_A, DISK_B)
    bench.send([(DISK_A, T0 + 10_000, 110.0)], T0 + 10_000)
    bench.depart(T0 + 10_000 + DEADLINE_MS)
    bench.send([(DISK_B, T0 + 10_000, STALE)], T0 + 18_000)
    assert bench.depart(T0 + 18_000).remade.raw[:, DISK].tolist() == [110.0]
    bench.send([(DISK_A, T0 + 20_000, 120.0)], T0 + 20_000)
    assert raw(bench.depart(T0 + 20_000), DISK) == [120.0]
    bench.send([(DISK_B, T0 - 10_000, STALE)], T0 + 21_000)
    assert len(bench.depart(T0 + 21_000 + DEADLINE_MS).fills) == 0


def test_a_late_staleness_marker_completes_the_rows_that_have_waited_for_its_series(bench: Bench) -> None:
    bench.warm(DISK_A, DISK_B)
    for step in (1, 2, 3):
        bench.send([(DISK_A, T0 + step * 10_000, 100.0)], T0 + step * 10_000)
        bench.depart(T0 + step * 10_000 + DEADLINE_MS)
    bench.send([(DISK_A, T0 + 40_000, 100.0)], T0 + 40_000)
    bench.send([(DISK_B, T0 + 10_000, STALE)], T0 + 40_500)
    assert bench.assembler.consumed_seq(6) == 4
    departure = bench.depart(T0 + 40_500)
    assert departure.remade.raw[:, DISK].tolist() == [100.0] * 3
    assert raw(departure, DISK) == [100.0]  # the open one need not wait for its deadline
    assert bench.assembler.consumed_seq(6) == 6
    bench.depart(T0 + 40_500 + HORIZON_MS)
    assert bench.assembler.held_samples == 0


def test_a_late_staleness_marker_counts_up_to_the_next_sample_of_its_series(bench: Bench) -> None:
    bench.warm(DISK_A, DISK_B)
    for step in (1, 2, 3, 4):
        at = T0 + step * 10_000
        bench.send([(DISK_A, at, 100.0), *([(DISK_B, at, 5.0)] if step == 3 else [])], at)
        bench.depart(at + DEADLINE_MS)
    bench.send([(DISK_B, T0 + 10_000, STALE)], T0 + 50_000)
    assert bench.depart(T0 + 50_000).remade.time_ms.tolist() == [T0 + 10_000, T0 + 20_000]


def test_a_staleness_marker_leaves_nothing_more_to_do(bench: Bench) -> None:
    bench.warm(DISK_A, DISK_B)
    bench.send([(DISK_B, T0 - 10_000, STALE)], T0 + 8000)
    assert not bench.assembler.depart(T0 + 8000).more


def test_a_fill_after_the_target_has_ended_is_no_partial_sum() -> None:
    bench = Bench(torn_samples=0)
    bench.warm(DISK_A, DISK_B)
    bench.send([(DISK_A, T0 + 10_000, 110.0)], T0 + 10_000)
    bench.depart(T0 + 10_000 + DEADLINE_MS)
    bench.send([(DISK_A, T0 + 20_000, STALE), (DISK_B, T0 + 20_000, STALE)], T0 + 20_000)
    late_ms = T0 + 20_000 + DEADLINE_MS + HORIZON_MS
    bench.depart(T0 + 20_000)
    bench.depart(late_ms)
    bench.send([(DISK_B, T0 + 10_000, 120.0)], late_ms)
    assert np.isnan(bench.depart(late_ms + DEADLINE_MS).fills.raw[:, DISK]).all()


def test_load_is_missing_where_the_number_of_cpus_is_not_known(bench: Bench) -> None:
    bench.warm(IDLE_0, IDLE_1, LOAD_1)
    bench.send([(IDLE_0, T0 + 10_000, 110.0), (LOAD_1, T0 + 10_000, 2.0)], T0 + 10_000)
    departure = bench.depart(T0 + 10_000 + DEADLINE_MS)
    assert raw(departure, LOAD) == [2.0]
    assert np.isnan(x(departure, LOAD)).all()


def test_a_late_piece_changes_no_rate_of_a_later_row(bench: Bench) -> None:
    bench.warm(DISK_A)
    bench.send([(DISK_A, T0 + 20_000, 300.0)], T0 + 20_000)
    assert x(bench.depart(T0 + 20_000), DISK) == pytest.approx([10.0])
    bench.send([(DISK_A, T0 + 10_000, 250.0)], T0 + 21_000)
    bench.depart(T0 + 21_000 + DEADLINE_MS)
    bench.send([(DISK_A, T0 + 30_000, 400.0)], T0 + 30_000)
    assert x(bench.depart(T0 + 30_000), DISK) == pytest.approx([10.0])


def test_of_two_values_for_one_moment_the_first_counts(bench: Bench) -> None:
    bench.send([(LOAD_1, T0, 1.0), (LOAD_1, T0, 2.0)], T0)
    bench.send([(LOAD_1, T0, 3.0)], T0)
    assert raw(bench.depart(T0 + DEADLINE_MS), LOAD) == [1.0]


def test_a_replay_of_a_row_that_has_left_changes_nothing(bench: Bench) -> None:
    bench.warm(DISK_A)
    bench.send([(DISK_A, T0, 100.0)], T0 + 8000)
    departure = bench.depart(T0 + 8000)
    assert (len(departure.rows), len(departure.remade), len(departure.fills)) == (0, 0, 0)


def test_a_record_is_consumed_when_every_row_with_a_sample_of_it_has_left(bench: Bench) -> None:
    bench.send([(LOAD_1, T0, 1.0)], T0)
    bench.send([(LOAD_1, T0, 1.0)], T0 + 3000, instance="b:9100")
    assert bench.assembler.consumed_seq(2) == 0
    bench.depart(T0 + DEADLINE_MS)
    assert bench.assembler.consumed_seq(2) == 1
    bench.depart(T0 + 3000 + DEADLINE_MS)
    assert bench.assembler.consumed_seq(2) == 2


def test_a_late_row_that_has_not_left_holds_its_record_back_behind_any_number_of_others(bench: Bench) -> None:
    many = range(BLOCK_ROWS + 5)
    bench.send([(LOAD_1, T0 + step, 1.0) for step in many], T0)
    for _ in range(2):
        bench.depart(T0 + DEADLINE_MS)
    bench.send([(LOAD_1, T0 - 1, 1.0)], T0 + 10_000)
    bench.send([(DISK_A, T0 + step, 1.0) for step in many], T0 + 10_000)
    first = bench.assembler.depart(T0 + 10_000 + DEADLINE_MS)
    assert (len(first.again.node), first.more, bench.assembler.consumed_seq(3)) == (BLOCK_ROWS, True, 1)
    second = bench.assembler.depart(T0 + 10_000 + DEADLINE_MS)
    assert (len(second.again.node), second.more, bench.assembler.consumed_seq(3)) == (6, False, 3)


def test_memory_is_given_back_after_the_horizon(bench: Bench) -> None:
    bench.warm(DISK_A, LOAD_1)
    assert bench.assembler.held_samples == FEWEST_CELLS + ROW_SAMPLES
    bench.depart(T0 + DEADLINE_MS + HORIZON_MS)
    assert bench.assembler.held_samples == 0


def test_equal_instances_in_two_clusters_are_two_nodes(bench: Bench) -> None:
    bench.send([({**LOAD_1, "cluster": "x"}, T0, 1.0), ({**LOAD_1, "cluster": "y"}, T0, 2.0)], T0)
    departure = bench.depart(T0 + DEADLINE_MS)
    assert sorted(raw(departure, LOAD)) == [1.0, 2.0]
    assert {bench.table.nodes[node] for node in departure.rows.node} == {("x", "a:9100"), ("y", "a:9100")}


def test_idle_series_are_forgotten_and_the_others_go_on(bench: Bench) -> None:
    bench.warm(DISK_A, DISK_B, LOAD_1)
    for step in range(1, 8):
        at = T0 + step * 10_000
        bench.send([(DISK_B, at, 100.0 + 10 * step), (LOAD_1, at, 1.0)], at)
        bench.depart(at + DEADLINE_MS)
    bench.send([(IDLE_0, T0 + 80_000, 1.0)], T0 + 80_000)  # new, in a row that is open
    assert bench.assembler.idle(T0 + 10_000) == [0]
    bench.assembler.forget([0])
    bench.send([(DISK_B, T0 + 80_000, 180.0), (LOAD_1, T0 + 80_000, 2.0)], T0 + 80_000)
    departure = bench.depart(T0 + 80_000)
    assert raw(departure, DISK) == [180.0]
    assert x(departure, DISK) == pytest.approx([1.0])
    assert raw(departure, CPU) == [1.0]
    bench.depart(T0 + 80_000 + DEADLINE_MS + TORN_HORIZON_MS)
    assert bench.assembler.held_samples == 0


def test_a_fleet_that_grows_keeps_every_sample(bench: Bench) -> None:
    disks = [{"__name__": "node_disk_read_bytes_total", "device": f"sd{place}"} for place in range(40)]
    for step in range(4):
        at, nodes = T0 + step * 10_000, 4**step
        for node in range(nodes):
            samples = [(disk, at, 1000.0 * node + place) for place, disk in enumerate(disks[: 10 * (step + 1)])]
            bench.send(samples, at, instance=f"{node}:9100")
        departure = bench.depart(at + DEADLINE_MS)
        expected = [sum(1000.0 * node + place for place in range(10 * (step + 1))) for node in range(nodes)]
        assert dict(zip(departure.rows.node.tolist(), raw(departure, DISK), strict=True)) == dict(enumerate(expected))
    bench.send([(DISK_A, T0, 1.0)], T0 + 30_000 + DEADLINE_MS, instance="0:9100")  # re-makes the first row
    assert bench.depart(T0 + 30_000 + DEADLINE_MS).remade.raw[:, DISK].tolist() == [45.0 + 1.0]
    bench.depart(T0 + 30_000 + DEADLINE_MS + HORIZON_MS)
    assert bench.assembler.held_samples == 0


def test_timestamps_of_one_series_in_no_order_make_a_row_each(bench: Bench) -> None:
    steps = [7 * step % 100 for step in range(100)]
    bench.send([(LOAD_1, T0 + step, float(step)) for step in steps], T0)
    assert raw(bench.depart(T0 + DEADLINE_MS), LOAD) == [float(step) for step in range(100)]


def test_more_rows_than_a_block_leave_one_block_after_the_other(bench: Bench) -> None:
    rows = BLOCK_ROWS + 5
    bench.send([(LOAD_1, T0 + step, float(step)) for step in range(rows)], T0)
    first, second = (bench.assembler.depart(T0 + DEADLINE_MS) for _ in range(2))
    assert [first.more, second.more] == [True, False]
    left = [float(value) for one in (first, second) for value in FEATURES.rows(one.rows).raw[:, LOAD]]
    assert left == [float(step) for step in range(rows)]


SCRAPES = [
    [
        (labels, T0 + step * 10_000, 100.0 + 7 * step * place)
        for place, labels in enumerate((IDLE_0, IDLE_1, LOAD_1, DISK_A, DISK_B))
    ]
    for step in range(4)
]


def rows_of(requests: Sequence[Sequence[Sample]]) -> list[tuple[int, list[float], list[float]]]:
    bench = Bench()
    found = []
    for place, request in enumerate(requests):
        bench.send(request, T0 + place)
        departed = bench.depart(T0 + place).rows
        found += list(zip(departed.time_ms.tolist(), departed.raw.tolist(), departed.x.tolist(), strict=True))
    departed = bench.depart(T0 + DEADLINE_MS + len(requests)).rows
    return found + list(zip(departed.time_ms.tolist(), departed.raw.tolist(), departed.x.tolist(), strict=True))


@given(data=st.data())
def test_any_split_and_interleaving_of_scrapes_gives_the_same_rows(data: st.DataObject) -> None:
    whole = rows_of([[sample for scrape in SCRAPES for sample in scrape]])
    # Senders keep the order of each series, and of nothing else.
    queues = [[scrape[place] for scrape in SCRAPES] for place in range(5)]
    requests: list[list[Sample]] = [[]]
    while any(queues):
        queue = data.draw(st.sampled_from([queue for queue in queues if queue]))
        requests[-1].append(queue.pop(0))
        if data.draw(st.booleans()):
            requests.append([])
    again = data.draw(st.lists(st.sampled_from(requests), max_size=3))
    got = rows_of([*requests, *again])
    assert len(got) == len(whole) == len(SCRAPES)
    for mine, theirs in zip(got, whole, strict=True):
        assert mine[0] == theirs[0]
        np.testing.assert_array_equal(mine[1], theirs[1])
        np.testing.assert_array_equal(mine[2], theirs[2])


def stored(torn: Torn, bench: Bench) -> dict[int, dict[str, float]]:
    """What a store holds in the end, of all that is not missing."""
    arrivals = dict.fromkeys(at_ms for at_ms, _ in torn.requests)
    flushes = {at_ms + wait_ms for at_ms in arrivals for wait_ms in (0, DEADLINE_MS, DEADLINE_MS + HORIZON_MS)}
    found: dict[int, dict[str, float]] = {}
    for at_ms in sorted(flushes):
        for _, samples in (request for request in torn.requests if request[0] == at_ms):
            bench.send([(labels, T0 + time_ms, value) for labels, time_ms, value in samples], T0 + at_ms)
        departed = bench.depart(T0 + at_ms)
        for time_ms, values in of(departed.rows) + of(departed.remade):
            found.setdefault(time_ms - T0, {}).update(values)
        for time_ms, values in of(departed.fills):
            found[time_ms - T0] = values | found.get(time_ms - T0, {})
    assert bench.assembler.open_rows == 0
    return found


def of(rows: Rows) -> list[tuple[int, dict[str, float]]]:
    columns = {name: CATALOGUE.feature_names.index(name) for name in TORN_FEATURES}
    return [
        (time_ms, {name: values[column] for name, column in columns.items() if not math.isnan(values[column])})
        for time_ms, values in zip(rows.time_ms.tolist(), rows.raw.tolist(), strict=True)
    ]


@given(torn=torn_scrapes(series_come=True, first_in_time=False))
def test_whatever_connection_is_behind_all_rows_are_exact_in_the_end(torn: Torn) -> None:
    assert stored(torn, Bench(spare_samples=1_000_000)) == torn.expected


@given(torn=torn_scrapes(series_come=False, first_in_time=True))
def test_without_room_to_spare_rows_of_known_series_are_exact_in_the_end(torn: Torn) -> None:
    assert stored(torn, Bench()) == torn.expected


@given(torn=torn_scrapes(series_come=False, first_in_time=True))
def test_without_any_room_what_is_stored_of_known_series_is_exact_or_missing(torn: Torn) -> None:
    found = stored(torn, Bench(torn_samples=0))
    assert found.keys() <= torn.expected.keys()
    for time_ms, values in found.items():
        assert values.items() <= torn.expected[time_ms].items()
