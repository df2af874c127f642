"""The loops over samples, rows and cells, compiled: what comes in, and what leaves.

Each takes `Held` and changes it in place. None makes an array: where there is no room left, a pass stops, says how far
it came, and is called again once there is. Costs some 10 ns a sample in `take` and 20 ns a series in `leave`.

What the rows mean is in the assembler's docstring.
"""

from __future__ import annotations

import numpy as np

from receiver.columns import STALE_NAN_BITS, Float64, Int32, Int64
from receiver.compiled import compiled
from receiver.rows.departure import Leaving
from receiver.rows.held import ARRIVED, EXPECTED, LEFT, NONE, OPEN, Held

# A series that has missed this many scrapes without a staleness marker is gone (its Prometheus stopped, say).
LIVE_INTERVALS = 5
# Cells of a new target's rows; one that needs more gets a quarter as many again, and some: 8, 12, 16, 20, 25, 31…
FEWEST_CELLS = 8
LEAST_MORE_CELLS = 4

_STALE = np.int64(STALE_NAN_BITS)


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
            row["last_seq"] = seq
            if not row["left"]:
                _touch(held, target)
            elif not row["dirty"]:
                row["first_seq"] = seq
                _soil(held, r)
    return len(series)


@compiled
def leave(held: Held, term_of: Int32, now_ms: int, deadline_ms: int, max_gap_ms: int, leaving: Leaving) -> int:
    """Let rows leave that can, in time order per target; how many have values.

    What the next rows need is remembered. Targets are left to look at where the room was too small: call it again.
    """
    head = held.head[0]
    r = held.rows[OPEN]["after"]
    while r != OPEN and held.rows[r]["since_ms"] + deadline_ms <= now_ms:
        after = held.rows[r]["after"]
        if held.rows[r]["late"]:
            _release(held, r, now_ms)
            _soil(held, r)
        else:
            _touch(held, held.rows[r]["target"])
        r = after
    count = 0
    while head["first_touched"] != NONE:
        target = held.targets[head["first_touched"]]
        while _ready(held, target["next"], now_ms, deadline_ms):
            if count == len(leaving.node):
                return count
            r = target["next"]
            if _sum_up(held, term_of, r, max_gap_ms, leaving, count):
                count += 1
            if target["last_ms"] >= 0:
                step_ms = held.rows[r]["time_ms"] - target["last_ms"]
                # Quick to shrink, slow to grow: one missed scrape must not double the patience for good.
                known_ms = target["interval_ms"]
                target["interval_ms"] = min(step_ms, 2 * known_ms) if known_ms else step_ms
            target["last_ms"] = held.rows[r]["time_ms"]
            target["next"] = held.rows[r]["newer"]
            _release(held, r, now_ms)
        target["touched"] = False
        head["first_touched"] = target["next_touched"]
    return count


@compiled
def leave_again(held: Held, term_of: Int32, leaving: Leaving) -> int:
    """The same for rows that have left before, or are late. They have no rates, and change none."""
    head = held.head[0]
    count = 0
    while head["first_dirty"] != NONE and count < len(leaving.node):
        r = head["first_dirty"]
        if _sum_up(held, term_of, r, 0, leaving, count):
            count += 1
        held.rows[r]["dirty"] = False
        head["first_dirty"] = held.rows[r]["next_dirty"]
    return count


@compiled
def give_up(held: Held, now_ms: int, horizon_ms: int) -> None:
    """Hold rows no longer that have left so long ago."""
    head = held.head[0]
    r = held.rows[LEFT]["after"]
    while r != LEFT and held.rows[r]["since_ms"] + horizon_ms <= now_ms:
        row = held.rows[r]
        after = row["after"]
        target = held.targets[row["target"]]
        if row["older"] != OPEN:
            held.rows[row["older"]]["newer"] = row["newer"]
        if row["newer"] != OPEN:
            held.rows[row["newer"]]["older"] = row["older"]
        if target["recent"] == r:
            target["recent"] = row["newer"] if row["newer"] != OPEN else row["older"]
        _unlink(held, r)
        row["after"] = head["first_free"]
        row["begin"] = NONE
        head["first_free"] = r
        head["held_rows"] -= 1
        head["held_cells"] -= target["room"]
        r = after


@compiled
def oldest_seq(held: Held) -> int:
    """The oldest journal record with samples that no departure has had; NONE where there is none."""
    oldest = NONE
    r = held.rows[OPEN]["after"]
    if r != OPEN:
        oldest = held.rows[r]["first_seq"]  # rows open in the order of the records
    r = held.head[0]["first_dirty"]
    while r != NONE:  # not so these: a late row may have waited for its deadline
        if oldest == NONE or held.rows[r]["first_seq"] < oldest:
            oldest = held.rows[r]["first_seq"]
        r = held.rows[r]["next_dirty"]
    return oldest


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
    row["first_seq"] = row["last_seq"] = seq
    row["begin"] = begin
    row["late"] = time_ms <= target["last_ms"]
    row["left"] = row["dirty"] = False
    row["older"] = row["newer"] = OPEN
    beside = target["recent"]
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
    _link(held, r, OPEN)
    return int(r)


@compiled
def _ready(held: Held, r: int, now_ms: int, deadline_ms: int) -> bool:
    """Whether a row (OPEN: none) can leave: its deadline has passed, or every live series has arrived."""
    if r == OPEN:
        return False
    row = held.rows[r]
    if now_ms >= row["since_ms"] + deadline_ms:
        return True
    target = held.targets[row["target"]]
    since_ms = _live_since(row["time_ms"], target["interval_ms"])
    some = False
    s = target["first"]
    while s != NONE:
        entry = held.series[s]
        if entry["live"] and entry["seen_ms"] >= since_ms:
            some = True
            if not held.state[row["begin"] + entry["slot"]] & ARRIVED:
                return False
        s = entry["next"]
    return some


@compiled
def _live_since(time_ms: int, interval_ms: int) -> int:
    """When a series must have been seen to be waited for by a row at this time."""
    return max(1, time_ms - LIVE_INTERVALS * interval_ms) if interval_ms else 1


@compiled
def _sum_up(held: Held, term_of: Int32, r: int, max_gap_ms: int, leaving: Leaving, place: int) -> bool:
    """Sum the series of a row by term, and remember what is seen of them; whether it has values.

    A failed scrape is all staleness markers: it leaves its mark on the series, and no row.
    """
    row = held.rows[r]
    target = held.targets[row["target"]]
    had = held.had[row["target"]]
    at_ms, again = row["time_ms"], row["left"]
    since_ms = _live_since(at_ms, target["interval_ms"])
    sums = leaving.sums
    sums.total[place] = sums.rate[place] = 0.0
    sums.present[place] = 0
    sums.missing[place] = False
    some = lacks = False
    s = target["first"]
    while s != NONE:
        entry = held.series[s]
        term = term_of[s]
        cell = row["begin"] + entry["slot"]
        if row["late"]:  # of a series that has ended before, nothing lacks
            expected = entry["live"] or entry["seen_ms"] >= at_ms
        elif again:
            expected = held.state[cell] & EXPECTED != 0
        else:
            expected = entry["live"] and entry["seen_ms"] >= since_ms
            if expected:
                held.state[cell] |= EXPECTED
        if held.state[cell] & ARRIVED:
            value = held.value[cell]
            stale = held.value[cell : cell + 1].view(np.int64)[0] == _STALE
            if np.isfinite(value):
                some = True
                sums.total[place, term] += value
                sums.present[place, term] += 1
                if again:
                    sums.rate[place, term] = np.nan
                else:
                    sums.rate[place, term] += _rate(entry["last_ms"], entry["last_value"], at_ms, value, max_gap_ms)
                    entry["last_ms"] = at_ms
                    entry["last_value"] = value
                    had[term] = True
            elif not stale:
                lacks = sums.missing[place, term] = True
            if not again or at_ms >= entry["seen_ms"]:
                entry["seen_ms"] = at_ms
                entry["live"] = not stale
        elif expected:
            lacks = sums.missing[place, term] = True
        s = entry["next"]
    leaving.node[place] = target["node"]
    leaving.time_ms[place] = at_ms
    leaving.seq[place] = row["last_seq"]
    leaving.late[place] = row["late"]
    leaving.incomplete[place] = lacks
    for t in range(len(had)):
        sums.had[place, t] = had[t]
    return some


@compiled
def _rate(last_ms: int, last: float, at_ms: int, value: float, max_gap_ms: int) -> float:
    """Rise per second; NaN where there was no sample, or it is too long ago. A counter that fell rose by its value."""
    if last_ms <= 0 or at_ms <= last_ms or at_ms - last_ms > max_gap_ms:
        return np.nan
    return 1000.0 * (value - last if value >= last else value) / (at_ms - last_ms)


@compiled
def _touch(held: Held, target: int) -> None:
    """A row of this target may be able to leave."""
    head = held.head[0]
    if not held.targets[target]["touched"]:
        held.targets[target]["touched"] = True
        held.targets[target]["next_touched"] = NONE
        if head["first_touched"] == NONE:
            head["first_touched"] = target
        else:
            held.targets[head["last_touched"]]["next_touched"] = target
        head["last_touched"] = target


@compiled
def _soil(held: Held, r: int) -> None:
    """A row that has left, and is not dirty, has got samples."""
    head = held.head[0]
    held.rows[r]["dirty"] = True
    held.rows[r]["next_dirty"] = NONE
    if head["first_dirty"] == NONE:
        head["first_dirty"] = r
    else:
        held.rows[head["last_dirty"]]["next_dirty"] = r
    head["last_dirty"] = r


@compiled
def _release(held: Held, r: int, now_ms: int) -> None:
    """A row leaves."""
    held.head[0]["open_rows"] -= 1
    held.rows[r]["left"] = True
    held.rows[r]["since_ms"] = now_ms
    _unlink(held, r)
    _link(held, r, LEFT)


@compiled
def _link(held: Held, r: int, ring: int) -> None:
    """Put a row at the end of a ring."""
    last = held.rows[ring]["before"]
    held.rows[r]["before"] = last
    held.rows[r]["after"] = ring
    held.rows[last]["after"] = r
    held.rows[ring]["before"] = r


@compiled
def _unlink(held: Held, r: int) -> None:
    """Take a row out of its ring."""
    before, after = held.rows[r]["before"], held.rows[r]["after"]
    held.rows[before]["after"] = after
    held.rows[after]["before"] = before
