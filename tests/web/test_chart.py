"""The small chart beside each node."""

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from receiver.web.chart import SPARKLINE, Chart, chart, height_of

SINCE_MS, UNTIL_MS = 0, 900_000


def drawn(scores: list[float], step_ms: int = 10_000) -> Chart:
    return chart(np.arange(len(scores)) * step_ms, np.array(scores, np.float32), SINCE_MS, UNTIL_MS)


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", path)]


def test_a_higher_score_stands_higher_and_the_threshold_between() -> None:
    assert height_of(2.0) < height_of(1.0) < height_of(0.0) < SPARKLINE.height


def test_a_score_over_the_top_is_cut_at_the_top() -> None:
    assert height_of(1e30) == height_of(3.0) >= 0


def test_no_scores_make_no_path_and_say_so() -> None:
    assert drawn([]) == Chart("", "", "No scores in this time.")
    assert drawn([float("nan")]).line == ""


def test_one_score_is_a_dot() -> None:
    assert len(set(points(drawn([0.5]).line))) == 1
    assert len(points(drawn([0.5]).line)) == 2


def test_a_peak_of_one_row_is_never_lost_among_many() -> None:
    scores = [0.1] * 9_000
    scores[4_567] = 2.5
    line = points(drawn(scores, step_ms=100).line)
    assert len(line) <= SPARKLINE.columns
    assert min(y for _, y in line) == height_of(2.5)


def test_a_silence_is_a_gap_in_the_line() -> None:
    times = np.concatenate([np.arange(20), np.arange(60, 80)]) * 10_000
    path = chart(times, np.full(40, 0.5, np.float32), SINCE_MS, UNTIL_MS).line
    assert path.count("M") == 2


def test_the_text_says_what_the_line_shows() -> None:
    assert drawn([0.5, 0.5, 3.25, 0.75]).text == "Score now 0.75, highest 3.25, over the threshold 25% of the time."


@given(st.lists(st.tuples(st.integers(-1000, 1_000_000), st.floats(width=32)), max_size=50))
def test_any_scores_give_paths_inside_the_box(rows: list[tuple[int, float]]) -> None:
    times = np.array(sorted(time_ms for time_ms, _ in rows), np.int64)
    made = chart(times, np.array([score for _, score in rows], np.float32), SINCE_MS, UNTIL_MS)
    assert re.fullmatch(r"[ML0-9.,]*", made.line)
    assert all(0 <= x <= SPARKLINE.width and 0 <= y <= SPARKLINE.height for x, y in points(made.line + made.area))
