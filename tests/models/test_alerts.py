"""The one definition of an alert, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.alerts import Alerts, find, merged, over_of_last
from receiver.alerts import CLEAR_ROWS, OF_ROWS, OVER_ROWS


def alerts(text: str) -> list[tuple[int, int]]:
    """Alerts of scores written as `.` (below) and `#` (over)."""
    found = find(np.array([2.0 if mark == "#" else 0.5 for mark in text]))
    return list(zip(found.raised.tolist(), found.last.tolist(), strict=True))


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ("", []),
        ("......", []),
        ("#.....", []),
        ("..#..#..", []),
        (".##...", [(2, 2)]),
        (".#.#..", [(3, 3)]),
        ("##", [(1, 1)]),
        ("######", [(1, 5)]),
        ("##..##....", [(1, 5)]),
        ("##...##...", [(1, 1), (6, 6)]),
        ("##..#...##", [(1, 4), (9, 9)]),
        ("#..#..##..", [(7, 7)]),
    ],
)
def test_raised_by_two_of_three_and_cleared_by_three_below(scores: str, expected: list[tuple[int, int]]) -> None:
    assert alerts(scores) == expected


@given(st.text(alphabet=".#", max_size=60))
def test_agrees_with_a_row_by_row_reading_of_the_definition(scores: str) -> None:
    expected: list[tuple[int, int]] = []
    open_, below = False, 0
    for row, mark in enumerate(scores):
        below = 0 if mark == "#" else below + 1
        if open_ and below >= CLEAR_ROWS:
            open_ = False
        if open_ and mark == "#":
            expected[-1] = (expected[-1][0], row)
        if not open_ and scores[max(0, row - OF_ROWS + 1) : row + 1].count("#") >= OVER_ROWS and mark == "#":
            open_ = True
            expected.append((row, row))
    assert alerts(scores) == expected


def test_a_score_at_the_threshold_is_not_over_it() -> None:
    assert len(find(np.array([1.0, 1.0, 1.0]))) == 0


def test_the_raising_level_is_the_second_highest_of_three() -> None:
    assert over_of_last(np.array([5.0, 1.0, 3.0, 2.0])).tolist() == [-np.inf, 1.0, 3.0, 2.0]


def test_alerts_closer_than_ten_minutes_count_once() -> None:
    seconds = np.array([0.0, 100.0, 650.0, 2000.0])
    found = merged(Alerts(np.array([0, 2, 3]), np.array([1, 2, 3])), seconds)
    assert (found.raised.tolist(), found.last.tolist()) == ([0, 3], [2, 3])
