"""Which rows are taken for attacks though nobody has spoken of them."""

from __future__ import annotations

import numpy as np

from models.retraining import suspects
from models.table import Table
from receiver.columns import Bool
from tests.models.nodes import table

ROWS = 360  # of each of two nodes, attacked from the 120th to the 239th


def attacked() -> Table:
    rows = table(nodes=2, seconds=ROWS * 10, step=10, attack=(1200, 2400))
    return rows.take(np.lexsort((rows.time_ms, rows.node)))


def marked(rows: Table, *numbers: int) -> Bool:
    """Ten rows of the first node from each of these on."""
    found = np.zeros(len(rows), bool)
    for number in numbers:
        found[number : number + 10] = True
    return found


def test_rows_that_look_like_a_marked_attack_are_suspect_on_every_node() -> None:
    rows = attacked()
    assert rows.attack is not None
    some = marked(rows, 20, 60, 150, 200, 300)
    suspect = suspects.find(rows, some, rows.attack & some)
    assert (suspect == rows.attack)[~some].mean() > 0.95
    assert not suspect[some].any()


def test_nothing_is_suspect_where_only_one_kind_is_marked() -> None:
    rows = attacked()
    some = marked(rows, 20, 60)
    assert not suspects.find(rows, some, np.zeros(len(rows), bool)).any()
    assert not suspects.find(rows, some, some).any()


def test_features_that_are_missing_or_never_change_do_not_matter() -> None:
    rows = attacked()
    assert rows.attack is not None
    rows.x[:, 3] = np.nan
    rows.x[:, 5] = 7
    rows.x[::3, 6] = np.nan
    some = marked(rows, 20, 60, 150, 200, 300)
    suspect = suspects.find(rows, some, rows.attack & some)
    assert (suspect == rows.attack)[~some].mean() > 0.95
