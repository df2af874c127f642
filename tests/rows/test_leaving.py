"""When rows leave, in which order, and what is forgotten after them."""

from __future__ import annotations

import numpy as np
import pytest

from receiver.rows.arriving import FEWEST_CELLS
from receiver.rows.assembler import BLOCK_ROWS, TURN_ROWS
from receiver.rows.held import TORN_HORIZON_MS
from receiver.rows.letting_go import ROW_SAMPLES
from tests.rows.bench import CPU, DEADLINE_MS, DISK, HORIZON_MS, LOAD, T0, Bench, raw, x
from tests.torn_scrapes import DISK_A, DISK_B, IDLE_0, IDLE_1, LOAD_1, STALE


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
    while bench.depart(T0 + DEADLINE_MS).more:
        pass
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


def test_a_node_that_has_the_ids_of_one_before_it_leaves_as_on_an_assembler_that_never_knew_that_one(
    bench: Bench,
) -> None:
    bench.warm(DISK_A, LOAD_1, IDLE_0, value=1000.0)
    later = T0 + 2 * TORN_HORIZON_MS
    bench.depart(later)
    bench.table.forget({0, 1, 2}, bench.assembler.forget([0, 1, 2]))
    fresh = Bench()
    for one in (bench, fresh):
        for step, samples in enumerate(([IDLE_0, DISK_A], [DISK_A], [DISK_A, IDLE_0, DISK_B])):
            at = later + step * 10_000
            one.send([(labels, at, 7.0 + step) for labels in samples], at, instance="b:9100")
    assert (bench.table.next_id, len(bench.table.targets)) == (3, 1)
    for step in range(3):
        at = later + step * 10_000 + DEADLINE_MS
        ours, theirs = bench.depart(at), fresh.depart(at)
        for name in ("time_ms", "raw", "x"):
            np.testing.assert_array_equal(getattr(ours.rows, name), getattr(theirs.rows, name))
        assert ours.incomplete.tolist() == theirs.incomplete.tolist()
        assert ours.rows.node.tolist() == [1] * len(theirs.rows)


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
    nodes = range(BLOCK_ROWS + 5)
    for node in nodes:
        bench.send([(LOAD_1, T0, float(node))], T0, instance=f"{node}:9100")
    first, second = (bench.depart(T0 + DEADLINE_MS) for _ in range(2))
    assert [first.more, second.more] == [True, False]
    assert raw(first, LOAD) + raw(second, LOAD) == [float(node) for node in nodes]


def test_many_rows_of_one_target_leave_in_turns_and_those_of_others_between(bench: Bench) -> None:
    steps = range(20_000)
    bench.send([(LOAD_1, T0 + step, float(step)) for step in steps], T0)
    bench.send([(LOAD_1, T0, -1.0)], T0, instance="b:9100")
    first = bench.depart(T0 + DEADLINE_MS)
    assert raw(first, LOAD) == [*map(float, range(TURN_ROWS)), -1.0]
    bench.send([(LOAD_1, T0 + 10_000, -2.0)], T0 + 10_000, instance="b:9100")
    second = bench.depart(T0 + 10_000)
    assert raw(second, LOAD) == [*map(float, range(TURN_ROWS, 2 * TURN_ROWS)), -2.0]
    left = raw(first, LOAD)[:-1] + raw(second, LOAD)[:-1]
    more = True
    while more:
        departed = bench.depart(T0 + 10_000)
        left += raw(departed, LOAD)
        more = departed.more
    assert left == list(map(float, steps))


def test_a_row_that_waits_for_an_older_one_past_its_deadline_leaves_with_it(bench: Bench) -> None:
    bench.warm(LOAD_1)
    bench.send([(LOAD_1, T0 + 20_000, 2.0), (DISK_A, T0 + 20_000, 2.0)], T0 + 20_000)
    bench.send([(DISK_A, T0 + 10_000, 1.0)], T0 + 25_000)
    assert len(bench.depart(T0 + 20_000 + DEADLINE_MS).rows) == 0
    assert bench.depart(T0 + 25_000 + DEADLINE_MS).rows.time_ms.tolist() == [T0 + 10_000, T0 + 20_000]


def test_after_a_restart_a_row_that_was_due_behind_an_older_one_leaves_at_its_new_deadline() -> None:
    bench = Bench()
    load_5 = {"__name__": "node_load5"}
    bench.warm(LOAD_1, load_5)
    now_ms = T0 + DEADLINE_MS
    bench.send([(LOAD_1, T0 + 20_000, 1.0)], now_ms)
    bench.send([(LOAD_1, T0 + 10_000, 1.0)], now_ms + DEADLINE_MS - 1000)
    assert not len(bench.depart(now_ms + DEADLINE_MS).rows)
    later_ms = now_ms + DEADLINE_MS + 5
    bench.assembler.go_on(later_ms, later_ms - now_ms)
    bench.send([(load_5, T0 + 10_000, 1.0)], later_ms)
    assert (bench.depart(later_ms).rows.time_ms - T0).tolist() == [10_000]
    assert (bench.depart(later_ms + DEADLINE_MS).rows.time_ms - T0).tolist() == [20_000]
