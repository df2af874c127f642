"""The two clocks of a running service, in milliseconds since 1970."""

from __future__ import annotations

import time


class Clocks:
    """From now on."""

    def __init__(self) -> None:
        self._began_ms, self._began = self.wall_ms(), time.monotonic()

    def wall_ms(self) -> int:
        """The wall clock, which says what is old."""
        return time.time_ns() // 1_000_000

    def steady_ms(self) -> int:
        """The clock by which rows wait: as if nobody had set the wall clock since the beginning."""
        return self._began_ms + int((time.monotonic() - self._began) * 1000)
