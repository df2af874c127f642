"""What comes back every day becomes usual, and what does not stays unusual."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.detectors import deviations, replay, season
from models.detectors.deviations import HALF_LIVES_SECONDS
from models.table import Table
from receiver.columns import Bool, Float32
from tests.models.nodes import FEATURES, table

STEP_SECONDS = 120
ROWS_OF_DAY = 86400 // STEP_SECONDS
DAYS = 6
FEATURE = FEATURES.index("est_conn")
SLOW = len(HALF_LIVES_SECONDS) - 1


def days(scale: Float32, attack: Bool | None = None) -> Table:
    """A calm node, its connections times `scale` [rows of all days]."""
    calm = table(nodes=1, seconds=DAYS * 86400, step=STEP_SECONDS, seed=60)
    x = calm.x.copy()
    x[:, FEATURE] *= scale
    return replace(calm, x=x, attack=attack)


def rush(every_day: bool) -> Float32:
    """Five times the connections from the eighth hour to the tenth, every day or on the last one only."""
    hour = np.arange(ROWS_OF_DAY * DAYS) % ROWS_OF_DAY * STEP_SECONDS / 3600
    busy = (hour >= 8) & (hour < 10)
    if not every_day:
        busy[:-ROWS_OF_DAY] = False
    return np.where(busy, 5, 1).astype(np.float32)


def last_rush(rows: Table) -> float:
    """The median z of the feature in the last day's rush."""
    z = replay.watch(deviations.fit(table(nodes=4, seconds=86400, step=STEP_SECONDS, seed=61)), rows)
    first = (DAYS - 1) * ROWS_OF_DAY + 8 * 3600 // STEP_SECONDS
    return float(np.median(z[first + 15 : first + 45, SLOW, FEATURE]))


def test_a_rush_of_every_day_is_usual_after_some_days() -> None:
    assert last_rush(days(rush(every_day=True))) < 0.35 * last_rush(days(rush(every_day=False)))


def test_a_rush_that_was_an_attack_every_day_does_not_become_usual() -> None:
    scale = rush(every_day=True)
    assert last_rush(days(scale, attack=scale > 1)) > 0.9 * last_rush(days(rush(every_day=False)))


def test_an_hour_says_nothing_of_itself_while_it_lasts() -> None:
    scale = rush(every_day=False)
    z = replay.watch(deviations.fit(table(nodes=4, seconds=86400, step=STEP_SECONDS, seed=61)), days(scale))
    start = (DAYS - 1) * ROWS_OF_DAY + 8 * 3600 // STEP_SECONDS
    assert z[start + 28, 0, FEATURE] > 0.8 * z[start + 2, 0, FEATURE]


def test_hours_stay_where_they_are_through_a_gap() -> None:
    rows = days(rush(every_day=True))
    late = np.arange(len(rows)) >= (DAYS - 1) * ROWS_OF_DAY
    moved = replace(rows, time_ms=rows.time_ms + np.where(late, 3 * 86_400_000, 0))
    assert last_rush(moved) < 0.35 * last_rush(days(rush(every_day=False)))


def test_its_state_is_as_large_as_it_says() -> None:
    assert len(season.initial_state(24)) == season.size(24)
