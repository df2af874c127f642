"""Samples → one row per (target, timestamp), in time order per target, however a sender tears its scrapes apart.

In: `Samples`, with the journal's sequence number and the moment of arrival, by a clock that never steps. Out:
`Departure`s of rows. Raises nothing; holds 20 bytes for each of `held_samples`: the series of rows that are open or may
still be re-made. Costs some 20 ns a sample and 1 µs a row; nothing for targets that send nothing.

A scrape has no id and no end mark: its samples share a timestamp and arrive in any order, over several requests.
- A row is *complete* when every live series of its target has arrived, with a value or a staleness marker. A series
  is *live* from its first sample on, until a staleness marker ends it, or it misses `LIVE_INTERVALS` scrapes. A
  target that has no live series is new: only the deadline can tell that its row is whole.
- Rows of a target leave in time order, each when it is complete or its deadline has passed, so that rates, made
  between consecutive rows, never depend on the order of arrival.
- A row is *torn* that lacks a sample of a series that it *expects*: one that is live, or has fallen silent within the
  last `TORN_HORIZON_MS` without a marker and without another of its term in its place. Its connection may be behind the
  others. A feature that lacks an expected series is missing. A marker that comes late takes its series out of the
  later rows that have expected it.
- Samples for a row that has left re-make it while it is held: a torn row until it is whole, for `TORN_HORIZON_MS` at
  most; a whole row for `late_horizon_ms`, and for as long as a torn one while there is room to spare. The oldest torn
  rows are given up, and counted, where there is no room.
- Samples for a row that is no longer held only *fill* what the stored row lacks: features of which every series has
  come that had begun, and is live or has been seen since. Nor do they change a rate, or those of a row that is older
  than the first that left.
- Of two samples for one series and timestamp the first to arrive counts.

What comes of it is exact or missing, as long as a connection keeps the order of each series. It lacks a series only
- that is new, and whose first samples come when the row of the others has been let go;
- that a new one of its term was taken to replace, where the row is let go before its samples come;
- or that had been silent for over an hour, when a restart came between the others' samples and its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from receiver.columns import Samples
from receiver.rows.arriving import place, take
from receiver.rows.departure import Departure, GivenUp, Leaving
from receiver.rows.forgetting import forget
from receiver.rows.held import (
    NONE,
    OPEN,
    move_cells,
    new_series,
    new_targets,
    nothing,
    with_free_cells,
    with_free_rows,
    with_series,
    with_targets,
)
from receiver.rows.leaving import leave, leave_again, oldest_seq
from receiver.rows.letting_go import give_up, held_samples
from receiver.series import SeriesTable

# Rows of a departure: their sums and features are 6 MiB.
BLOCK_ROWS = 4096
# Of them, those of one target: each is a step of the model for itself, of some 0.25 ms, and others wait meanwhile.
TURN_ROWS = 256


@dataclass(frozen=True, slots=True)
class Timing:
    """How long to wait, in milliseconds."""

    deadline_ms: int
    late_horizon_ms: int
    max_rate_gap_ms: int


@dataclass(frozen=True, slots=True)
class Room:
    """How much may be held, in samples of 20 bytes."""

    spare_samples: int  # below this, whole rows are held for as long as torn ones
    torn_samples: int  # above this, the oldest torn rows are given up


class Assembler:
    """All rows that are open, and what is known of every kept series."""

    def __init__(self, table: SeriesTable, terms: int, timing: Timing, room: Room) -> None:
        self._table = table
        self._terms = terms
        self._timing = timing
        self._room = room
        self._held = nothing(terms)
        self._none = Leaving.room(0, terms)
        self._compile()

    @property
    def open_rows(self) -> int:
        """Rows that have not left."""
        return int(self._held.head["open_rows"][0])

    @property
    def held_samples(self) -> int:
        """What is held, in samples of 20 bytes."""
        return int(held_samples(self._held))

    def consumed_seq(self, newest_seq: int) -> int:
        """The journal record up to which every sample is in a row that has left."""
        oldest = oldest_seq(self._held)
        return newest_seq if oldest == NONE else oldest - 1

    def needed_seq(self, newest_seq: int, silent_since_ms: int) -> int:
        """The oldest journal record that a restart needs; the next where there is none.

        Held rows would have to be rebuilt from it, or it says what was last seen of a live series, which may have been
        silent since `silent_since_ms` at the longest: a row that comes must know that it lacks it.
        """
        rows, series = self._held.rows, self._held.series
        known = series["live"] & (series["seen_seq"] > 0) & (series["arrived_ms"] >= silent_since_ms)
        oldest = series["seen_seq"][known].min(initial=newest_seq + 1)
        return int(rows["needed_seq"][rows["begin"] != NONE].min(initial=oldest))

    def doubt(self, seq: int) -> None:
        """Know that what this journal record begins, rows and series, may have begun in records that are gone.

        Once they have left, such rows only fill, and so do older ones.
        """
        self._held.head["doubted_seq"] = seq

    def know_all(self) -> None:
        """Have slots for the series that a journal has brought back, of which no sample has come yet."""
        self._make_room(self._table.next_id)
        self._held.head["known_targets"] = len(self._table.targets)
        target_of = self._table.target
        series = np.flatnonzero(target_of[: self._table.next_id] >= 0).astype(np.int32)
        self._all_of(len(series), lambda begin: place(self._held, target_of, series, begin))

    def go_on(self, now_ms: int, by_ms: int) -> None:
        """Go on by another clock, which is `by_ms` ahead, and give every row its full time again."""
        self._held.rows["since_ms"] = now_ms
        self._held.head["last_due"] = OPEN
        self._held.series["arrived_ms"] += by_ms

    def idle(self, before_ms: int) -> list[int]:
        """Series of which nothing has come in since then."""
        series = self._held.series
        idle: list[int] = np.flatnonzero((series["slot"] != NONE) & (series["arrived_ms"] < before_ms)).tolist()
        return idle

    def forget(self, series: list[int]) -> list[int]:
        """Let go of idle series; all targets that have neither series nor rows now."""
        forget(self._held, self._table.target, np.array(series, np.int32))
        self._held.series[series] = new_series(1)
        self._held.head["known_targets"] = 0
        targets = self._held.targets[: len(self._table.targets)]
        empty: list[int] = np.flatnonzero((targets["first"] == NONE) & (targets["recent"] == OPEN)).tolist()
        return empty

    def add(self, samples: Samples, seq: int, now_ms: int) -> None:
        """Put the samples of journal record `seq` into their rows."""
        if not len(samples):
            return
        self._make_room(int(samples.series.max()) + 1)
        series, time_ms, value = samples.series, samples.time_ms, samples.value
        if (time_ms[1:] < time_ms[:-1]).any():
            order = np.argsort(time_ms, kind="stable")
            series, time_ms, value = series[order], time_ms[order], value[order]
        target_of = self._table.target
        self._all_of(len(series), lambda begin: take(self._held, target_of, series, time_ms, value, seq, now_ms, begin))

    def depart(self, now_ms: int) -> Departure:
        """Rows that can leave now, and those that are to be written again: `BLOCK_ROWS` of each at most.

        Of one target, no more than `TURN_ROWS` leave for the first time.
        """
        timing, term_of, held = self._timing, self._table.term, self._held
        head = held.head[0]
        rows = again = self._none
        if head["open_rows"]:
            rows = Leaving.room(min(int(head["open_rows"]), BLOCK_ROWS), self._terms)
            left = leave(held, term_of, now_ms, timing.deadline_ms, timing.max_rate_gap_ms, TURN_ROWS, rows)
            rows = rows.first(left)
        if head["first_dirty"] != NONE:
            again = Leaving.room(min(int(head["held_rows"]), BLOCK_ROWS), self._terms)
            again = again.first(leave_again(held, term_of, now_ms, again))
        more = bool(head["first_touched"] != NONE or head["first_dirty"] != NONE)
        return Departure(rows, again, more, self._give_up(now_ms, self._room))

    def let_go(self, now_ms: int) -> GivenUp:
        """Hold no row that need not be held: no torn one, and no whole one after its horizon."""
        return self._give_up(now_ms, Room(0, 0))

    def _give_up(self, now_ms: int, room: Room) -> GivenUp:
        horizon_ms = self._timing.late_horizon_ms
        return GivenUp(*give_up(self._held, now_ms, horizon_ms, room.spare_samples, room.torn_samples))

    def _compile(self) -> None:
        """Call each pass once, over nothing, so that no sample waits until it is compiled."""
        none, target_of = Samples.empty(), self._table.target
        place(self._held, target_of, none.series, 0)
        take(self._held, target_of, none.series, none.time_ms, none.value, 0, 0, 0)
        forget(self._held, target_of, none.series)
        move_cells(self._held, self._held)
        leave(self._held, self._table.term, 0, 0, 0, 0, self._none)
        leave_again(self._held, self._table.term, 0, self._none)
        give_up(self._held, 0, 0, 0, 0)
        held_samples(self._held)
        oldest_seq(self._held)

    def _make_room(self, series: int) -> None:
        """Have entries for series below `series`, and for all targets."""
        self._held = with_targets(with_series(self._held, series), len(self._table.targets))
        for target in self._table.new_targets:
            self._held.targets[target] = new_targets(1)
            self._held.targets["node"][target] = self._table.targets[target].node
            self._held.had[target] = False
        self._table.new_targets.clear()

    def _all_of(self, entries: int, go_on: Callable[[int], int]) -> None:
        """Have a pass go over all entries, with more room whenever it has come to its end."""
        done = go_on(0)
        while done < entries:
            self._held = with_free_cells(with_free_rows(self._held))
            done = go_on(done)
