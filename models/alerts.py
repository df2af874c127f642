"""The alerts that past scores make, by the definition of `receiver.alerts`.

An alert lasts from the row at which it was raised to the last row over the threshold before it is cleared. Alerts of a
node less than `MERGE_SECONDS` apart count once, as false alerts.

All functions take the scores of one node, in time order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from receiver.alerts import CLEAR_ROWS, OF_ROWS, OVER_ROWS
from receiver.columns import Float64, Int64

MERGE_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Alerts:
    """A alerts of one node, in time order."""

    raised: Int64  # [A] row at which it was raised
    last: Int64  # [A] last row over the threshold

    def __len__(self) -> int:
        return len(self.raised)


def find(score: Float64, threshold: float = 1.0) -> Alerts:
    """The alerts that scores [R] make."""
    over = np.flatnonzero(score > threshold)
    if not len(over):
        return Alerts(over, over)
    # Rows over the threshold with fewer than CLEAR_ROWS rows below in between are one spell.
    starts = np.concatenate([[True], np.diff(over) > CLEAR_ROWS])
    spell = np.cumsum(starts) - 1
    last = over[np.concatenate([starts[1:], [True]])]
    raising = np.flatnonzero(over_of_last(score) > threshold)
    raising_spell = spell[np.searchsorted(over, raising, side="right") - 1]
    spells, first = np.unique(raising_spell, return_index=True)
    return Alerts(raising[first], last[spells])


def over_of_last(score: Float64) -> Float64:
    """For each row the highest threshold at which it would raise an alert: the OVER_ROWS-th of the last OF_ROWS."""
    padded = np.concatenate([np.full(OF_ROWS - 1, -np.inf), score])
    windows = np.lib.stride_tricks.sliding_window_view(padded, OF_ROWS)
    highest: Float64 = np.partition(windows, OF_ROWS - OVER_ROWS, axis=1)[:, OF_ROWS - OVER_ROWS]
    return highest


def merged(alerts: Alerts, seconds: Float64) -> Alerts:
    """Those alerts with what is less than MERGE_SECONDS apart made one; `seconds` [R] are the rows' times."""
    if len(alerts) < 2:
        return alerts
    apart = seconds[alerts.raised[1:]] - seconds[alerts.last[:-1]] >= MERGE_SECONDS
    starts, ends = np.concatenate([[True], apart]), np.concatenate([apart, [True]])
    return Alerts(alerts.raised[starts], alerts.last[ends])
