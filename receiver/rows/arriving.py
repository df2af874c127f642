"""Samples → the rows that they belong to: compiled.

Each pass takes `Held` and changes it in place. None makes an array: where there is no room left, a pass stops, says how
far it came, and is called again once there is. Costs some 10 ns a sample.

What the rows mean is in the assembler's docstring.
"""

from __future__ import annotations

from receiver.columns import Float64, Int32, Int64
from receiver.compiled import compiled
from receiver.rows.held import ARRIVED, EXPECTED, NONE, OPEN, Held, is_marker
from receiver.rows.rings import change, link, touch

# Cells of a new target's rows; one that needs more gets a quarter as many again, and some: 8, 12, 16, 20, 25, 31…
FEWEST_CELLS = 8
LEAST_MORE_CELLS = 4
# After all rows.
FOR_EVER_MS = 2**62


@compiled
def place(held: Held, target_of: Int32, series: Int32, begin: int) -> int:
    """Give these series, from `begin` on, slots in their targets' rows; how far it came."""
    for i in range(begin, len(series)):
        if held.series[series[i]]["slot"] == NONE and not _place(held, target_of[series[i]], series[i]):
            return i
    return len(series)


@compiled
def take(
    held: Held, target_of: Int32, series: Int32, time_ms: Int64, value: Float64, seq: int, now_ms: int, begin: int
) -> int:
    """Put samples, from `begin` on, into their rows; how far it came."""
    r = OPEN
    for i in range(begin, len(series)):
        entry = held.series[series[i]]
        target = target_of[series[i]]
        if entry["slot"] == NONE and not _place(held, target, series[i]):
            return i
        if r == OPEN or held.rows[r]["target"] != target or held.rows[r]["time_ms"] != time_ms[i]:
            r = _row_at(held, target, time_ms[i])
            if r == OPEN:
                r = _open(held, target, time_ms[i], seq, now_ms)
            if r == OPEN:
                return i
        entry["arrived_ms"] = now_ms
        row = held.rows[r]
        cell = row["begin"] + entry["slot"]
        if not held.state[cell] & ARRIVED:
            held.state[cell] |= ARRIVED
            held.value[cell] = value[i]
            change(held, r, seq)
            if not row["left"]:
                touch(held, target)
            if entry["born_ms"] == 0 or time_ms[i] < entry["born_ms"]:
                entry["born_ms"] = time_ms[i] if seq > held.head[0]["doubted_seq"] else 1
            stale = value[i] != value[i] and is_marker(value, i)
            if stale:
                _end(held, series[i], r, seq)
                if held.targets[target]["next"] != OPEN:
                    touch(held, target)
            if (row["left"] or row["late"]) and time_ms[i] >= entry["seen_ms"]:
                entry["seen_ms"] = time_ms[i]
                entry["seen_seq"] = seq
                entry["live"] = not stale
    return len(series)


@compiled
def _end(held: Held, series: int, r: int, seq: int) -> None:
    """A marker has come: no later row lacks the series until its next sample. Those that did are made again.

    A record's markers come by time, so what an earlier one has told a row, a later one need not.
    """
    entry = held.series[series]
    ended_ms = held.rows[r]["time_ms"]
    if entry["ended_seq"] == seq and ended_ms < entry["ended_ms"]:
        return
    entry["ended_seq"] = seq
    entry["ended_ms"] = FOR_EVER_MS
    r = held.rows[r]["newer"]
    while r != OPEN:
        row = held.rows[r]
        cell = row["begin"] + entry["slot"]
        if held.state[cell] & ARRIVED or ended_ms < entry["seen_ms"] <= row["time_ms"]:
            entry["ended_ms"] = row["time_ms"] if held.state[cell] & ARRIVED else entry["seen_ms"]
            return
        if held.state[cell] & EXPECTED or not row["left"]:
            held.state[cell] &= ~EXPECTED
            change(held, r, seq)
        r = row["newer"]


@compiled
def _place(held: Held, target_id: int, series: int) -> bool:
    """Give a series a slot; False, and nothing done, where its target's rows have no room and get none."""
    target = held.targets[target_id]
    if target["slots"] == target["room"] and not _widen(held, target_id):
        return False
    held.series[series]["slot"] = target["slots"]
    held.series[series]["live"] = True
    target["slots"] += 1
    if target["first"] == NONE:
        target["first"] = series
    else:
        held.series[target["last"]]["next"] = series
    target["last"] = series
    return True


@compiled
def _widen(held: Held, target_id: int) -> bool:
    """Give each row of a target more cells; False, and nothing done, where there are not so many."""
    head = held.head[0]
    target = held.targets[target_id]
    room = max(FEWEST_CELLS, target["room"] + max(LEAST_MORE_CELLS, target["room"] // 4))
    oldest = target["recent"]
    while oldest != OPEN and held.rows[oldest]["older"] != OPEN:
        oldest = held.rows[oldest]["older"]
    rows = 0
    r = oldest
    while r != OPEN:
        rows += 1
        r = held.rows[r]["newer"]
    if head["used_cells"] + rows * room > len(held.value):
        head["needed_cells"] = rows * room
        return False
    r = oldest
    while r != OPEN:
        row = held.rows[r]
        begin = head["used_cells"]
        for k in range(target["room"]):
            held.value[begin + k] = held.value[row["begin"] + k]
            held.state[begin + k] = held.state[row["begin"] + k]
        held.state[begin + target["room"] : begin + room] = 0
        row["begin"] = begin
        head["used_cells"] += room
        r = row["newer"]
    head["held_cells"] += rows * (room - target["room"])
    target["room"] = room
    return True


@compiled
def _row_at(held: Held, target: int, time_ms: int) -> int:
    """The row of a target at this time, or OPEN; the recent one is then a neighbour in time of where it would be.

    A walk from the row that was looked up last: where samples come ordered by time, it is short.
    """
    r: int = held.targets[target]["recent"]
    if r == OPEN:
        return OPEN
    while held.rows[r]["time_ms"] > time_ms and held.rows[r]["older"] != OPEN:
        r = held.rows[r]["older"]
    while held.rows[r]["time_ms"] < time_ms and held.rows[r]["newer"] != OPEN:
        r = held.rows[r]["newer"]
    held.targets[target]["recent"] = r
    return r if held.rows[r]["time_ms"] == time_ms else OPEN


@compiled
def _open(held: Held, target_id: int, time_ms: int, seq: int, now_ms: int) -> int:
    """A new row beside the target's recent one, or OPEN where there is no room for it."""
    head = held.head[0]
    target = held.targets[target_id]
    begin, room = head["used_cells"], target["room"]
    if head["first_free"] == NONE or begin + room > len(held.value):
        head["needed_cells"] = room
        return OPEN
    r = head["first_free"]
    row = held.rows[r]
    head["first_free"] = row["after"]
    head["used_cells"] += room
    head["held_cells"] += room
    head["held_rows"] += 1
    head["open_rows"] += 1
    held.state[begin : begin + room] = 0
    row["target"] = target_id
    row["time_ms"] = time_ms
    row["since_ms"] = now_ms
    row["first_seq"] = row["pending_seq"] = row["last_seq"] = seq
    row["needed_seq"] = target["known_seq"] or seq
    row["begin"] = begin
    beside = target["recent"]
    if beside == OPEN and target["last_ms"] == NONE and head["doubted_seq"] and target_id < head["known_targets"]:
        target["gone_ms"] = time_ms - 1
    row["late"] = time_ms <= target["last_ms"]
    row["fills"] = time_ms <= target["gone_ms"] or seq <= head["doubted_seq"]
    row["left"] = row["dirty"] = row["torn"] = False
    row["older"] = row["newer"] = OPEN
    if beside != OPEN and held.rows[beside]["time_ms"] < time_ms:
        row["older"], row["newer"] = beside, held.rows[beside]["newer"]
    elif beside != OPEN:
        row["older"], row["newer"] = held.rows[beside]["older"], beside
    if row["older"] != OPEN:
        held.rows[row["older"]]["newer"] = r
    if row["newer"] != OPEN:
        held.rows[row["newer"]]["older"] = r
    target["recent"] = r
    if not row["late"] and (target["next"] == OPEN or time_ms < held.rows[target["next"]]["time_ms"]):
        target["next"] = r
    link(held, r, OPEN)
    return int(r)
