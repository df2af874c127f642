"""VUS-PR on cases that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from benchmarks.detection.vus import buffered, range_pr, vus_pr


def rows(marks: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.array([mark == "#" for mark in marks])


def test_a_label_fades_over_half_the_buffer_on_both_sides() -> None:
    label = buffered(rows("....##...."), 4)
    expected = [0, 0, np.sqrt(0.5), np.sqrt(0.75), 1, 1, np.sqrt(0.75), np.sqrt(0.5), 0, 0]
    assert label == pytest.approx(expected)


def test_a_buffer_ends_where_the_rows_do() -> None:
    assert buffered(rows("#.."), 4) == pytest.approx([1, np.sqrt(0.75), np.sqrt(0.5)])


def test_buffers_that_meet_make_no_label_above_one() -> None:
    assert buffered(rows("#.#"), 2) == pytest.approx([1, 1, 1])


def test_without_a_buffer_and_with_one_event_it_is_the_average_precision() -> None:
    attack, score = rows("...###.."), np.array([0.1, 0.8, 0.2, 0.9, 0.7, 0.3, 0.4, 0.0])
    assert range_pr(attack, score, 0) == pytest.approx(average_precision_score(attack, score))


def test_recall_counts_events_as_well_as_rows() -> None:
    # Over the threshold of each row in turn: recall ½ · ½ at precision 1, then ½ · ½, then 1 · 1 at ⅔.
    assert range_pr(rows("#..#"), np.array([0.9, 0.5, 0.1, 0.4]), 0) == pytest.approx(0.25 + 0.75 * 2 / 3)


def test_with_a_buffer_by_hand() -> None:
    # Labels of ".#." with a buffer of 2 rows: √½, 1, √½; the mean of their sum and 1 is (2 + √2) / 2 positives.
    half, positives = np.sqrt(0.5), (2 + np.sqrt(2)) / 2
    first, both = 1 / positives, (1 + half) / positives
    expected = first * 1 + (both - first) * (1 + half) / 2
    assert range_pr(rows(".#."), np.array([0.5, 0.9, 0.1]), 2) == pytest.approx(expected)


def test_rows_of_one_score_pass_the_threshold_together() -> None:
    assert range_pr(rows("#..."), np.ones(4), 0) == pytest.approx(0.25)


def test_the_volume_is_the_mean_over_all_widths() -> None:
    attack, score = rows("..##...#.."), np.arange(10.0)
    assert vus_pr(attack, score, 3) == pytest.approx(np.mean([range_pr(attack, score, width) for width in range(4)]))


def test_an_early_score_is_worth_more_than_a_far_one() -> None:
    attack = rows("." * 30 + "###" + "." * 30)
    early, far = np.zeros(63), np.zeros(63)
    early[27:30] = far[:3] = 1
    assert vus_pr(attack, early) > vus_pr(attack, far)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=40), st.integers(0, 8))
def test_it_stays_between_nothing_and_all(marks: list[tuple[bool, int]], width: int) -> None:
    attack = np.array([True, *(mark for mark, _ in marks)])
    score = np.array([0.0, *(float(value) for _, value in marks)])
    assert 0 <= range_pr(attack, score, width) <= 1 + 1e-9
