"""Streams are cut and thinned as they say."""

from __future__ import annotations

import numpy as np

from benchmarks.detection.cases import START_MS, node_table, spliced, thinned
from models.table import Table


def table(marks: str, name: str = "a", step_ms: int = 2000) -> Table:
    """Rows written as `#` (an attack) and `.`, with their number as the only feature."""
    time_ms = 5_000 + np.arange(len(marks)) * step_ms
    x = np.arange(len(marks), dtype=np.float32)[:, None]
    return node_table(name, ["number"], time_ms, x, np.array([mark == "#" for mark in marks]))


def kept(marks: str, share: float) -> str:
    attack = np.array([mark == "#" for mark in marks])
    return "".join(np.array(list(marks))[thinned(attack, share)])


def test_every_node_starts_at_the_same_time() -> None:
    assert table("...").time_ms.tolist() == [START_MS, START_MS + 2000, START_MS + 4000]


def test_what_is_cut_out_leaves_no_gap() -> None:
    rows = table("..###..")
    cut = spliced(rows, ~np.array([mark == "#" for mark in "..###.."]))
    assert cut.x[:, 0].tolist() == [0, 1, 5, 6]
    assert np.diff(cut.time_ms).tolist() == [2000] * 3
    assert cut.attack is not None
    assert not cut.attack.any()


def test_rows_that_stay_neighbours_stay_as_far_apart_as_they_were() -> None:
    rows = node_table("a", ["v"], np.array([0, 2000, 5000, 7000, 9000]), np.zeros((5, 1), np.float32))
    cut = spliced(rows, np.array([True, True, True, False, True]))
    assert np.diff(cut.time_ms).tolist() == [2000, 3000, 2000]


def test_attacks_are_thinned_by_whole_runs_that_are_spread_evenly() -> None:
    quiet = "." * 10
    marks = f"{quiet}##{quiet}##{quiet}##{quiet}"
    assert kept(marks, 0.05) == f"{quiet}{quiet}##{quiet}{quiet}"
    assert kept(marks, 0.5) == marks


def test_where_even_one_attack_is_too_much_none_stays() -> None:
    assert kept("..####..", 0.05) == "...."


def test_nothing_is_thinned_where_there_is_no_attack() -> None:
    assert kept("....", 0.05) == "...."
