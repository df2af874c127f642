"""Which rows speak for no false alert."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.calibration import quiet
from models.table import Table
from tests.models.nodes import table


def attacked(node: int, begins: float, ends: float) -> Table:
    """Two nodes, a row every 10 s for ten minutes; one is attacked."""
    rows = table(nodes=2, seconds=600, step=10)
    seconds = (rows.time_ms - rows.time_ms[0]) / 1000
    return replace(rows, attack=(rows.node == node) & (seconds >= begins) & (seconds <= ends))


def test_rows_from_half_a_minute_before_an_attack_to_two_minutes_after_it_are_near() -> None:
    rows = attacked(1, 200, 260)
    near = ~quiet(rows)
    seconds = (rows.time_ms - rows.time_ms[0]) / 1000
    assert np.array_equal(near, (rows.node == 1) & (seconds >= 170) & (seconds <= 380))


def test_without_labels_no_row_is_near() -> None:
    assert quiet(table(nodes=2, seconds=600, step=10)).all()
