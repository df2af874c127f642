"""Samples → one row per (target, timestamp), in time order per target, however a sender tears its scrapes apart.

In: `Samples`, with the journal's sequence number and the moment of arrival. Out: `Departure`s of rows. Raises
nothing; holds 10 bytes for each of `held_samples`: the series of rows that are open or may still be re-made. Costs
some 4 µs for each (target, timestamp) of a request, and what `aggregate` costs.

A scrape has no id and no end mark: its samples share a timestamp and arrive in any order, over several requests.
- A row is *complete* when every live series of its target has arrived, with a value or a staleness marker. Live is
  what was seen within the last `LIVE_INTERVALS` scrapes and has not been marked stale. A target that has no live
  series is new: only the deadline can tell that its row is whole.
- Rows of a target leave in time order, each when it is complete or its deadline has passed, so that rates, made
  between consecutive rows, never depend on the order of arrival.
- Samples for a row that has left re-make it while it is still held (`late_horizon_ms`); after that, and for rows
  older than the first that left, they only *fill* what the stored row lacks. Neither changes a rate.
- Of two samples for one series and timestamp the first to arrive counts.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from receiver.aggregate import Aggregator, Block, Entries, Index
from receiver.columns import Bool, Float64, Int32, Int64, Samples, is_stale
from receiver.rows.held import Row, Target
from receiver.rows.memory import SeriesMemory
from receiver.series import SeriesTable

# What a row costs besides its samples, counted in samples of 10 bytes: its objects and array headers.
ROW_SAMPLES = 80


@dataclass(frozen=True, slots=True)
class Departure:
    """Rows that leave together."""

    rows: Block  # complete, or at their deadline
    incomplete: Bool  # [len(rows)]
    row_seq: Int64  # [len(rows)] newest journal record with samples of each
    remade: Block  # left before, and have got samples since; no rates
    remade_seq: Int64  # [len(remade)] the same
    fills: Block  # late: for what the stored rows lack; no rates
    fill_seq: Int64  # [len(fills)] the same


@dataclass(frozen=True, slots=True)
class Timing:
    """How long to wait, in milliseconds."""

    deadline_ms: int
    late_horizon_ms: int
    max_rate_gap_ms: int


class Assembler:
    """All rows that are open, and what is known of every kept series."""

    def __init__(self, table: SeriesTable, aggregator: Aggregator, timing: Timing) -> None:
        self._table = table
        self._aggregator = aggregator
        self._timing = timing
        self._targets: list[Target] = []
        self._deadlines: deque[tuple[int, Row]] = deque()
        self._horizons: deque[tuple[int, Row]] = deque()
        self._touched: set[Target] = set()
        self._open: set[Row] = set()  # have not left
        self._dirty: set[Row] = set()  # have left, and have got samples since
        self.held_samples = 0
        self._latest_ms = 0
        self._memory = SeriesMemory()

    @property
    def open_rows(self) -> int:
        """Rows that have not left."""
        return len(self._open)

    def consumed_seq(self, newest_seq: int) -> int:
        """The journal record up to which every sample is in a row that has left."""
        pending = (row.first_seq for rows in (self._open, self._dirty) for row in rows)
        return min(pending, default=newest_seq + 1) - 1

    def know_all(self) -> None:
        """Expect the series that a journal has brought back, of which no sample has come yet."""
        self._memory.make_room(self._table.next_id)
        for series in np.flatnonzero(self._table.target[: self._table.next_id] >= 0).tolist():
            self._place(series)

    def restart_waiting(self, now_ms: int) -> None:
        """Give every open row its full time again."""
        self._latest_ms = now_ms
        self._deadlines.clear()
        for row in self._open:
            row.first_ms = now_ms
            self._deadlines.append((now_ms + self._timing.deadline_ms, row))
        self._horizons = deque((now_ms + self._timing.late_horizon_ms, row) for _, row in self._horizons)

    def idle(self, before_ms: int) -> list[int]:
        """Series of which nothing has come in since then."""
        idle: list[int] = self._memory.idle(before_ms).tolist()
        return idle

    def forget(self, series: list[int]) -> None:
        """Let go of idle series."""
        gone = np.array(series, np.int32)
        for target_id in np.unique(self._table.target[gone]).tolist():
            target = self._targets[target_id]
            keep = ~np.isin(target.series, gone)
            for row in target.rows.values():
                self._widen(row)
            self.held_samples -= len(target.rows) * int(np.count_nonzero(~keep))
            target.drop(keep)
            self._memory.slot[target.series] = np.arange(len(target.series), dtype=np.int32)
        self._memory.forget(gone)

    def add(self, samples: Samples, seq: int, now_ms: int) -> None:
        """Put the samples of journal record `seq` into their rows."""
        if not len(samples):
            return
        self._follow_clock(now_ms)
        self._memory.make_room(int(samples.series.max()) + 1)
        for series in samples.series[self._memory.slot[samples.series] < 0].tolist():
            self._place(series)
        self._memory.arrived(samples.series, now_ms)
        target = self._table.target[samples.series]
        order = np.lexsort((samples.time_ms, target))
        target, time_ms = target[order], samples.time_ms[order]
        slot, value = self._memory.slot[samples.series[order]], samples.value[order]
        begins = np.flatnonzero(np.diff(target, prepend=-1) | np.diff(time_ms, prepend=-1))
        ends = [*begins[1:].tolist(), len(order)]
        pieces = zip(begins.tolist(), ends, target[begins].tolist(), time_ms[begins].tolist(), strict=True)
        for begin, end, target_id, time in pieces:
            self._add_piece(self._targets[target_id], time, slot[begin:end], value[begin:end], seq, now_ms)

    def depart(self, now_ms: int) -> Departure:
        """Rows that can leave now, and those that are to be written again."""
        self._follow_clock(now_ms)
        while self._deadlines and self._deadlines[0][0] <= now_ms:
            row = self._deadlines.popleft()[1]
            if row.late:
                self._release(row, now_ms)
                self._dirty.add(row)
            elif not row.left:
                self._touched.add(row.target)
        blocks: list[Block] = []
        incomplete: list[Bool] = []
        seqs: list[Int64] = []
        candidates, self._touched = self._touched, set()
        # A wave has one row of a target at most: the next one's rates need what this one leaves behind.
        while wave := [ready for target in candidates if (ready := self._ready(target, now_ms)) is not None]:
            block, lacking, some = self._leave(wave)
            blocks.append(block)
            incomplete.append(lacking)
            seqs.append(np.array([row.last_seq for row in wave], np.int64)[some])
            for row in wave:
                self._release(row, now_ms)
            candidates = {row.target for row in wave if row.target.waiting}
        dirty, self._dirty = self._dirty, set()
        for row in dirty:
            self._widen(row)
            series = row.target.series
            if row.late:
                row.expected = self._memory.expected_late(series, row.time_ms)
            self._memory.saw_late(series[row.arrived], row.time_ms, is_stale(row.value[row.arrived]))
        remade, remade_seq = self._again([row for row in dirty if not row.late])
        fills, fill_seq = self._again([row for row in dirty if row.late])
        departure = Departure(
            rows=self._aggregator.joined(blocks),
            incomplete=np.concatenate([np.empty(0, np.bool_), *incomplete]),
            row_seq=np.concatenate([np.empty(0, np.int64), *seqs]),
            remade=remade,
            remade_seq=remade_seq,
            fills=fills,
            fill_seq=fill_seq,
        )
        while self._horizons and self._horizons[0][0] <= now_ms:
            self._forget(self._horizons.popleft()[1])
        return departure

    def _place(self, series: int) -> None:
        """Give a series its slot in its target's rows."""
        if self._memory.slot[series] >= 0:
            return
        target_id = int(self._table.target[series])
        while len(self._targets) <= target_id:
            node = self._table.targets[len(self._targets)].node
            self._targets.append(Target(node, self._aggregator.terms))
        target = self._targets[target_id]
        self._memory.place(series, len(target.series))
        target.series = np.append(target.series, np.int32(series))

    def _add_piece(self, target: Target, time_ms: int, slot: Int32, value: Float64, seq: int, now_ms: int) -> None:
        row = target.rows.get(time_ms)
        if row is None:
            row = target.rows[time_ms] = Row(target, time_ms, now_ms, seq)
            self.held_samples += len(row.value) + ROW_SAMPLES
            self._open.add(row)
            self._deadlines.append((now_ms + self._timing.deadline_ms, row))
            if not row.late:
                target.waiting[time_ms] = row
        self._widen(row)
        if not row.take(slot, value):
            return
        row.last_seq = seq
        if not row.left:
            self._touched.add(target)
        elif row not in self._dirty:
            row.first_seq = seq
            self._dirty.add(row)

    def _widen(self, row: Row) -> None:
        """Make room for series that the target has gained."""
        more = len(row.target.series) - len(row.value)
        if more:
            self.held_samples += more
            row.value = np.concatenate((row.value, np.zeros(more)))
            row.arrived = np.concatenate((row.arrived, np.zeros(more, np.bool_)))
            row.expected = np.concatenate((row.expected, np.zeros(more, np.bool_)))

    def _follow_clock(self, now_ms: int) -> None:
        """Move deadlines along with a clock that was set back: by it, they would not come for as long."""
        by_ms, self._latest_ms = now_ms - self._latest_ms, now_ms
        if by_ms >= 0:
            return
        for row in self._open:
            row.first_ms += by_ms
        self._deadlines = deque((at_ms + by_ms, row) for at_ms, row in self._deadlines)
        self._horizons = deque((at_ms + by_ms, row) for at_ms, row in self._horizons)

    def _ready(self, target: Target, now_ms: int) -> Row | None:
        """The next row of a target, if it can leave."""
        if not target.waiting:
            return None
        row = target.waiting[min(target.waiting)]
        if now_ms >= row.first_ms + self._timing.deadline_ms:
            return row
        self._widen(row)
        expected = self._memory.expected(target.series, row.time_ms, target.interval_ms)
        return row if expected.any() and not (expected & ~row.arrived).any() else None

    def _release(self, row: Row, now_ms: int) -> None:
        row.left = True
        row.target.waiting.pop(row.time_ms, None)
        self._open.discard(row)
        self._horizons.append((now_ms + self._timing.late_horizon_ms, row))

    def _forget(self, row: Row) -> None:
        self.held_samples -= len(row.value) + ROW_SAMPLES
        del row.target.rows[row.time_ms]

    def _leave(self, wave: list[Row]) -> tuple[Block, Bool, Bool]:
        """Features of one row each of several targets, whether they lack a series, which of the wave they are.

        What the next rows need is remembered.
        """
        for row in wave:
            self._widen(row)
        targets = [row.target for row in wave]
        series, index, arrived, value = _flat(wave)
        time_ms = np.array([row.time_ms for row in wave], np.int64)
        interval_ms = np.array([target.interval_ms for target in targets], np.int64)
        at_ms = time_ms[index]
        expected = self._memory.expected(series, at_ms, interval_ms[index])
        finite, stale = np.isfinite(value), is_stale(value)
        present = arrived & finite
        missing = (expected & ~arrived) | (arrived & ~finite & ~stale)
        value = np.where(present, value, 0.0)
        rate = self._memory.rates(series, at_ms, value, self._timing.max_rate_gap_ms)
        self._memory.remember(series[present], at_ms[present], value[present])
        self._memory.saw(series[arrived], at_ms[arrived], stale[arrived])
        term = self._table.term[series]
        seen = np.stack([target.seen for target in targets])
        seen[index[present], term[present]] = True
        begin = 0
        for row, target, row_seen in zip(wave, targets, seen, strict=True):
            row.expected = expected[begin : begin + len(row.value)]
            begin += len(row.value)
            target.seen = row_seen
            if target.last_ms >= 0:
                step_ms = row.time_ms - target.last_ms
                # Quick to shrink, slow to grow: one missed scrape must not double the patience for good.
                target.interval_ms = min(step_ms, 2 * target.interval_ms) if target.interval_ms else step_ms
            target.last_ms = row.time_ms

        node = np.array([target.node for target in targets], np.int32)
        block = self._aggregator.features(node, time_ms, Entries(index, term, value, present, missing, rate), seen)
        # A failed scrape is all staleness markers: it leaves its mark on the series, and no row.
        some = np.bincount(index[present], minlength=len(wave)) > 0
        lacking = np.bincount(index[missing], minlength=len(wave)) > 0
        return block.where(some), lacking[some], some

    def _again(self, rows: list[Row]) -> tuple[Block, Int64]:
        """Features of rows that have left, without rates, and the newest journal record of each."""
        if not rows:
            return self._aggregator.joined([]), np.empty(0, np.int64)
        series, index, arrived, value = _flat(rows)
        expected = np.concatenate([row.expected for row in rows])
        finite, stale = np.isfinite(value), is_stale(value)
        present = arrived & finite
        entries = Entries(
            row=index,
            term=self._table.term[series],
            value=np.where(finite, value, 0.0),
            present=present,
            missing=(expected & ~arrived) | (arrived & ~finite & ~stale),
            rate=np.full(len(series), np.nan),
        )
        block = self._aggregator.features(
            np.array([row.target.node for row in rows], np.int32),
            np.array([row.time_ms for row in rows], np.int64),
            entries,
            np.stack([row.target.seen for row in rows]),
        )
        some = np.bincount(index[present], minlength=len(rows)) > 0
        return block.where(some), np.array([row.last_seq for row in rows], np.int64)[some]


def _flat(rows: list[Row]) -> tuple[Int32, Index, Bool, Float64]:
    """Series, row index, arrival and value of every slot of these rows."""
    series = np.concatenate([row.target.series for row in rows])
    index = np.repeat(np.arange(len(rows)), [len(row.value) for row in rows])
    return series, index, np.concatenate([row.arrived for row in rows]), np.concatenate([row.value for row in rows])
