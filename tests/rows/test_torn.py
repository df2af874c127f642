"""Rows that lack a sample: held for it, made again, given up."""

from __future__ import annotations

import math

import numpy as np

from receiver.rows.arriving import FEWEST_CELLS
from receiver.rows.assembler import BLOCK_ROWS
from receiver.rows.held import TORN_HORIZON_MS
from receiver.rows.letting_go import ROW_SAMPLES
from tests.rows.bench import DEADLINE_MS, DISK, HORIZON_MS, LOAD, T0, Bench, raw
from tests.torn_scrapes import DISK_A, DISK_B, LOAD_1, STALE


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
    while bench.depart(T0 + DEADLINE_MS).more:
        pass
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


def test_of_two_markers_in_a_record_the_first_does_not_hide_what_ended_with_the_second() -> None:
    bench = Bench()
    for at_ms in (T0, T0 + 20_000):
        bench.send([(LOAD_1, at_ms, 1.0), (DISK_A, at_ms, 1.0)], at_ms)
        bench.depart(at_ms + DEADLINE_MS)
    for at_ms in (T0 + 30_000, T0 + 40_000):
        bench.send([(LOAD_1, at_ms, 1.0)], at_ms)
        bench.depart(at_ms + DEADLINE_MS)
    late_ms = T0 + 40_000 + DEADLINE_MS + HORIZON_MS
    bench.depart(late_ms)
    bench.send([(DISK_A, T0 + 10_000, STALE), (DISK_A, T0 + 25_000, STALE)], late_ms)
    assert (bench.depart(late_ms).remade.time_ms - T0).tolist() == [30_000, 40_000]


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
