"""What is known of each kept series between its samples: arrays by series id.

Costs 41 bytes a series. Raises nothing. A series is *live* from its first sample on until a staleness marker ends
it; it is *expected* in a row if it is live and was seen within the last `LIVE_INTERVALS` scrapes before.
"""

from __future__ import annotations

import numpy as np

from receiver.columns import Bool, Float64, Int32, Int64

# A series that has missed this many scrapes without a staleness marker is gone (its Prometheus stopped, say).
LIVE_INTERVALS = 5


class SeriesMemory:
    """Slots, liveness, and the last sample of a row that has left."""

    def __init__(self) -> None:
        self.slot: Int32 = np.empty(0, np.int32)
        self.live: Bool = np.empty(0, np.bool_)
        self._seen_ms: Int64 = np.empty(0, np.int64)
        self._arrived_ms: Int64 = np.empty(0, np.int64)
        self._last_ms: Int64 = np.empty(0, np.int64)
        self._last_value: Float64 = np.empty(0, np.float64)

    def make_room(self, series: int) -> None:
        """Have entries for ids below `series`."""
        if series > len(self.slot):
            more = max(series, 2 * len(self.slot), 1024) - len(self.slot)
            self.slot = np.concatenate((self.slot, np.full(more, -1, np.int32)))
            self.live = np.concatenate((self.live, np.zeros(more, np.bool_)))
            self._seen_ms = np.concatenate((self._seen_ms, np.zeros(more, np.int64)))
            self._arrived_ms = np.concatenate((self._arrived_ms, np.zeros(more, np.int64)))
            self._last_ms = np.concatenate((self._last_ms, np.zeros(more, np.int64)))
            self._last_value = np.concatenate((self._last_value, np.zeros(more)))

    def place(self, series: int, slot: int) -> None:
        """A series has got its slot."""
        self.slot[series] = slot
        self.live[series] = True

    def expected(self, series: Int32, time_ms: Int64 | int, interval_ms: Int64 | int) -> Bool:
        """Which of these series a row at this time waits for; an interval of 0 is not known."""
        oldest_ms = np.where(np.greater(interval_ms, 0), time_ms - LIVE_INTERVALS * interval_ms, 1)
        expected: Bool = self.live[series] & (self._seen_ms[series] >= np.maximum(oldest_ms, 1))
        return expected

    def expected_late(self, series: Int32, time_ms: int) -> Bool:
        """Which of these series a late row lacks where it has no sample of them: what has not ended before it."""
        expected: Bool = self.live[series] | (self._seen_ms[series] >= time_ms)
        return expected

    def rates(self, series: Int32, time_ms: Int64, value: Float64, max_gap_ms: int) -> Float64:
        """Rise per second since each series' last sample; NaN where there is none, or it is too long ago.

        A counter that has fallen was reset: its rise is its new value.
        """
        last_ms, last = self._last_ms[series], self._last_value[series]
        elapsed_ms = time_ms - last_ms
        rated = (last_ms > 0) & (elapsed_ms > 0) & (elapsed_ms <= max_gap_ms)
        rise = np.where(value >= last, value - last, value)
        rate: Float64 = np.divide(1000.0 * rise, elapsed_ms, out=np.full(len(series), np.nan), where=rated)
        return rate

    def saw(self, series: Int32, time_ms: Int64, stale: Bool) -> None:
        """Samples, or staleness markers, of a row that leaves."""
        self._seen_ms[series] = time_ms
        self.live[series] = ~stale

    def saw_late(self, series: Int32, time_ms: int, stale: Bool) -> None:
        """Samples, or staleness markers, that came when their row had left: they too are seen."""
        newest = time_ms >= self._seen_ms[series]
        self._seen_ms[series[newest]] = time_ms
        self.live[series[newest]] = ~stale[newest]

    def arrived(self, series: Int32, now_ms: int) -> None:
        """Samples of any time have come in."""
        self._arrived_ms[series] = now_ms

    def remember(self, series: Int32, time_ms: Int64, value: Float64) -> None:
        """Values that the next rates are made from."""
        self._last_ms[series] = time_ms
        self._last_value[series] = value

    def idle(self, before_ms: int) -> Int32:
        """Series with a slot of which nothing has come in since then."""
        return np.flatnonzero((self.slot >= 0) & (self._arrived_ms < before_ms)).astype(np.int32)

    def forget(self, series: Int32) -> None:
        """Take the slots of these series; their ids will not come again."""
        self.slot[series] = -1
        self.live[series] = False
