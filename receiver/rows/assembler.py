"""Samples → one row per (target, timestamp), in time order per target, however a sender tears its scrapes apart.

In: `Samples`, with the journal's sequence number and the moment of arrival. Out: `Departure`s of rows. Raises
nothing; holds 20 bytes for each of `held_samples`: the series of rows that are open or may still be re-made. Costs
some 20 ns a sample and 1 µs a row; nothing for targets that send nothing.

A scrape has no id and no end mark: its samples share a timestamp and arrive in any order, over several requests.
- A row is *complete* when every live series of its target has arrived, with a value or a staleness marker. A series
  is *live* from its first sample on, until a staleness marker ends it, or it misses `LIVE_INTERVALS` scrapes. A
  target that has no live series is new: only the deadline can tell that its row is whole.
- Rows of a target leave in time order, each when it is complete or its deadline has passed, so that rates, made
  between consecutive rows, never depend on the order of arrival.
- Samples for a row that has left re-make it while it is still held (`late_horizon_ms`); after that, and for rows
  older than the first that left, they only *fill* what the stored row lacks. Neither changes a rate.
- Of two samples for one series and timestamp the first to arrive counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from receiver.columns import Samples
from receiver.rows.arriving import place, take
from receiver.rows.departure import Departure, Leaving
from receiver.rows.forgetting import forget
from receiver.rows.held import NONE, nothing, with_free_cells, with_free_rows, with_series, with_targets
from receiver.rows.leaving import give_up, leave, leave_again, oldest_seq
from receiver.series import SeriesTable

# What a row costs besides its samples, counted in samples of 20 bytes.
ROW_SAMPLES = 8
# Rows of a departure: their sums and features are 6 MiB.
BLOCK_ROWS = 4096


@dataclass(frozen=True, slots=True)
class Timing:
    """How long to wait, in milliseconds."""

    deadline_ms: int
    late_horizon_ms: int
    max_rate_gap_ms: int


class Assembler:
    """All rows that are open, and what is known of every kept series."""

    def __init__(self, table: SeriesTable, terms: int, timing: Timing) -> None:
        self._table = table
        self._terms = terms
        self._timing = timing
        self._held = nothing(terms)
        self._targets = 0
        self._latest_ms = 0
        self._none = Leaving.room(0, terms)
        self._compile()

    @property
    def open_rows(self) -> int:
        """Rows that have not left."""
        return int(self._held.head["open_rows"][0])

    @property
    def held_samples(self) -> int:
        """What is held, in samples of 20 bytes."""
        head = self._held.head[0]
        return int(head["held_cells"] + ROW_SAMPLES * head["held_rows"])

    def consumed_seq(self, newest_seq: int) -> int:
        """The journal record up to which every sample is in a row that has left."""
        oldest = oldest_seq(self._held)
        return newest_seq if oldest == NONE else oldest - 1

    def know_all(self) -> None:
        """Expect the series that a journal has brought back, of which no sample has come yet."""
        self._make_room(self._table.next_id)
        target_of = self._table.target
        series = np.flatnonzero(target_of[: self._table.next_id] >= 0).astype(np.int32)
        self._all_of(len(series), lambda begin: place(self._held, target_of, series, begin))

    def restart_waiting(self, now_ms: int) -> None:
        """Give every open row its full time again."""
        self._latest_ms = now_ms
        self._held.rows["since_ms"] = now_ms

    def idle(self, before_ms: int) -> list[int]:
        """Series of which nothing has come in since then."""
        series = self._held.series
        idle: list[int] = np.flatnonzero((series["slot"] != NONE) & (series["arrived_ms"] < before_ms)).tolist()
        return idle

    def forget(self, series: list[int]) -> None:
        """Let go of idle series; their ids will not come again."""
        forget(self._held, self._table.target, np.array(series, np.int32))

    def add(self, samples: Samples, seq: int, now_ms: int) -> None:
        """Put the samples of journal record `seq` into their rows."""
        if not len(samples):
            return
        self._follow_clock(now_ms)
        self._make_room(int(samples.series.max()) + 1)
        series, time_ms, value = samples.series, samples.time_ms, samples.value
        if (time_ms[1:] < time_ms[:-1]).any():
            order = np.argsort(time_ms, kind="stable")
            series, time_ms, value = series[order], time_ms[order], value[order]
        target_of = self._table.target
        self._all_of(len(series), lambda begin: take(self._held, target_of, series, time_ms, value, seq, now_ms, begin))

    def depart(self, now_ms: int) -> Departure:
        """Rows that can leave now, and those that are to be written again: `BLOCK_ROWS` of each at most."""
        self._follow_clock(now_ms)
        timing, term_of, held = self._timing, self._table.term, self._held
        head = held.head[0]
        rows = again = self._none
        if head["open_rows"]:
            rows = Leaving.room(min(int(head["open_rows"]), BLOCK_ROWS), self._terms)
            rows = rows.first(leave(held, term_of, now_ms, timing.deadline_ms, timing.max_rate_gap_ms, rows))
        if head["first_dirty"] != NONE:
            again = Leaving.room(min(int(head["held_rows"]), BLOCK_ROWS), self._terms)
            again = again.first(leave_again(held, term_of, again))
        give_up(held, now_ms, timing.late_horizon_ms)
        return Departure(rows, again, bool(head["first_touched"] != NONE or head["first_dirty"] != NONE))

    def _compile(self) -> None:
        """Call each pass once, over nothing, so that no sample waits until it is compiled."""
        none, target_of = Samples.empty(), self._table.target
        place(self._held, target_of, none.series, 0)
        take(self._held, target_of, none.series, none.time_ms, none.value, 0, 0, 0)
        forget(self._held, target_of, none.series)
        leave(self._held, self._table.term, 0, 0, 0, self._none)
        leave_again(self._held, self._table.term, self._none)
        give_up(self._held, 0, 0)
        oldest_seq(self._held)

    def _make_room(self, series: int) -> None:
        """Have entries for series below `series`, and for all targets."""
        targets = len(self._table.targets)
        self._held = with_targets(with_series(self._held, series), targets)
        for target in range(self._targets, targets):
            self._held.targets["node"][target] = self._table.targets[target].node
        self._targets = targets

    def _all_of(self, entries: int, go_on: Callable[[int], int]) -> None:
        """Have a pass go over all entries, with more room whenever it has come to its end."""
        done = go_on(0)
        while done < entries:
            self._held = with_free_cells(with_free_rows(self._held))
            done = go_on(done)

    def _follow_clock(self, now_ms: int) -> None:
        """Move deadlines along with a clock that was set back: by it, they would not come for as long."""
        by_ms, self._latest_ms = now_ms - self._latest_ms, now_ms
        if by_ms < 0:
            self._held.rows["since_ms"] += by_ms
