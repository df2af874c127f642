"""Which records of the journal a restart needs."""

from __future__ import annotations

from receiver.rows import Tail
from receiver.rows.tail import EVERY_MS


def noted(*notes: tuple[int, int]) -> Tail:
    """A tail with these notes: number of the newest record, and when it was the newest."""
    tail = Tail()
    for seq, at_ms in notes:
        tail.note(seq, at_ms)
    return tail


def test_nothing_is_unneeded_of_what_has_come_within_the_time_before() -> None:
    tail = noted((10, 0), (20, 10_000), (30, 20_000), (40, 30_000))
    assert tail.unneeded(41, 30_001) == 0
    assert tail.unneeded(41, 30_000) == 10
    assert tail.unneeded(41, 15_000) == 20


def test_the_time_counts_back_from_the_oldest_record_that_is_needed() -> None:
    tail = noted((10, 0), (20, 10_000), (30, 20_000), (40, 30_000))
    assert tail.unneeded(35, 10_000) == 20
    assert tail.unneeded(31, 10_000) == 20
    assert tail.unneeded(20, 10_000) == 0


def test_a_record_that_came_after_a_silence_needs_what_came_as_long_before_it() -> None:
    tail = noted((10, 0), (20, 10_000), (20, 100_000), (30, 200_000))
    assert tail.unneeded(21, 90_000) == 20


def test_notes_that_follow_each_other_closely_are_one() -> None:
    tail = noted((10, 0), (20, EVERY_MS - 1), (30, 2 * EVERY_MS))
    assert tail.unneeded(31, EVERY_MS) == 10


def test_it_goes_on_by_another_clock() -> None:
    tail = noted((10, 0), (20, 10_000))
    tail.move(1_000_000)
    tail.note(30, 1_020_000)
    assert tail.unneeded(31, 10_000) == 20
