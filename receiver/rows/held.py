"""Rows that are held, and the targets that they belong to.

A target's series have *slots*: their places in its rows' arrays, so that a piece of a request is one assignment.
"""

from __future__ import annotations

import numpy as np

from receiver.columns import Bool, Float64, Int32


class Row:
    """Samples of one target at one time."""

    __slots__ = (
        "arrived",
        "expected",
        "first_ms",
        "first_seq",
        "last_seq",
        "late",
        "left",
        "target",
        "time_ms",
        "value",
    )

    def __init__(self, target: Target, time_ms: int, now_ms: int, seq: int) -> None:
        slots = len(target.series)
        self.target = target
        self.time_ms = time_ms
        self.first_ms = now_ms
        self.first_seq = seq  # of the samples that no departure has had yet
        self.last_seq = seq
        self.late = time_ms <= target.last_ms
        self.left = False
        self.value: Float64 = np.zeros(slots)
        self.arrived: Bool = np.zeros(slots, np.bool_)
        self.expected: Bool = np.zeros(slots, np.bool_)  # known once the row has left

    def take(self, slot: Int32, value: Float64) -> bool:
        """Write the samples that are not there yet; whether there were any."""
        new = ~self.arrived[slot]
        if not new.any():
            return False
        # Backwards, so that of two samples for one slot the first stays.
        slot, value = slot[new][::-1], value[new][::-1]
        self.value[slot] = value
        self.arrived[slot] = True
        return True


class Target:
    """What is known of one scraped endpoint."""

    __slots__ = ("interval_ms", "last_ms", "node", "rows", "seen", "series", "waiting")

    def __init__(self, node: int, terms: int) -> None:
        self.node = node
        self.series: Int32 = np.empty(0, np.int32)  # by slot
        self.seen: Bool = np.zeros(terms, np.bool_)  # terms that it has ever had
        self.rows: dict[int, Row] = {}  # all that are held, by time
        self.waiting: dict[int, Row] = {}  # those that will leave in order, by time
        self.last_ms = -1  # of the newest row that has left
        self.interval_ms = 0  # 0: not known

    def drop(self, keep: Bool) -> None:
        """Take slots away from the target and its rows, which have all its slots."""
        for row in self.rows.values():
            row.value, row.arrived, row.expected = row.value[keep], row.arrived[keep], row.expected[keep]
        self.series = self.series[keep]
