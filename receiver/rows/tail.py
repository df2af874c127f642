"""The journal's tail: which records a restart needs.

In: the number of the newest record, every so often, and the time by a clock that never steps. Out: up to which record
nothing is needed any more. The records' own times would not do: a clock that was wrong when they were written would
keep them for ever. Costs one entry per `EVERY_MS` of the tail.
"""

from __future__ import annotations

from bisect import bisect_right

# Between two notes: the tail is longer by so much at most.
EVERY_MS = 5000


class Tail:
    """When which record was the newest."""

    def __init__(self) -> None:
        self._at_ms: list[int] = []
        self._seq: list[int] = []

    def note(self, newest_seq: int, now_ms: int) -> None:
        """Remember the newest record of this moment."""
        if not self._at_ms or now_ms >= self._at_ms[-1] + EVERY_MS:
            self._at_ms.append(now_ms)
            self._seq.append(newest_seq)

    def move(self, by_ms: int) -> None:
        """Go on by another clock."""
        self._at_ms = [at_ms + by_ms for at_ms in self._at_ms]

    def unneeded(self, needed_seq: int, before_ms: int) -> int:
        """The record up to which all came longer than `before_ms` before `needed_seq`; 0 where none is known."""
        came = bisect_right(self._seq, needed_seq - 1) - 1
        if came < 0:
            return 0
        last = bisect_right(self._at_ms, self._at_ms[came] - before_ms) - 1
        if last < 0:
            return 0
        del self._at_ms[:last], self._seq[:last]
        return self._seq[0]
