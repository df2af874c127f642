"""Rows that leave, and the sums of their series: compiled.

Each pass takes `Held` and changes it in place, and fills the `Leaving` that it is given as far as there is room: what
is left over leaves with the next call, and so does what a target has beyond its turn. Costs some 20 ns a series, and
looks once at each row whose deadline passes.

What the rows mean is in the assembler's docstring.
"""

from __future__ import annotations

import numpy as np

from receiver.columns import Int32
from receiver.compiled import compiled
from receiver.rows.departure import Leaving
from receiver.rows.held import ARRIVED, EXPECTED, NONE, OPEN, TORN_HORIZON_MS, Held, is_marker
from receiver.rows.rings import file, release, soil, touch

# A series that has missed this many scrapes without a staleness marker is not waited for.
LIVE_INTERVALS = 5
# So many older rows are asked what a late one lacks: some hours of scrapes, of which one hour is held. A series that
# none of them knows of is expected.
LATE_LOOK_BACK_ROWS = 1000


@compiled
def leave(
    held: Held, term_of: Int32, now_ms: int, deadline_ms: int, max_gap_ms: int, turn_rows: int, leaving: Leaving
) -> int:
    """Let rows leave that can, in time order per target, `turn_rows` of one at most; how many have values.

    What the next rows need is remembered. Targets are left to look at where the room or their turn was too small: call
    it again. Those that have had their turn come last then.
    """
    head = held.head[0]
    r = held.rows[head["last_due"]]["after"]
    while r != OPEN and held.rows[r]["since_ms"] + deadline_ms <= now_ms:
        after = held.rows[r]["after"]
        if held.rows[r]["late"]:
            release(held, r, now_ms)
            soil(held, r)
        else:
            touch(held, held.rows[r]["target"])
            head["last_due"] = r
        r = after
    count = 0
    end = head["last_touched"]
    t = NONE
    while t != end and head["first_touched"] != NONE:
        t = head["first_touched"]
        target = held.targets[t]
        turn = 0
        while turn < turn_rows and _ready(held, target["next"], now_ms, deadline_ms):
            if count == len(leaving.node):
                return count
            turn += 1
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
            release(held, r, now_ms)
        target["touched"] = False
        head["first_touched"] = target["next_touched"]
        if turn == turn_rows and _ready(held, target["next"], now_ms, deadline_ms):
            touch(held, t)
    return count


@compiled
def leave_again(held: Held, term_of: Int32, now_ms: int, leaving: Leaving) -> int:
    """The same for rows that have left before, or are late. They have no rates, and change none."""
    head = held.head[0]
    count = 0
    while head["first_dirty"] != NONE and count < len(leaving.node):
        r = head["first_dirty"]
        torn = held.rows[r]["torn"]
        if _sum_up(held, term_of, r, 0, leaving, count):
            count += 1
        if held.rows[r]["torn"] != torn:
            file(held, r, now_ms)
        held.rows[r]["dirty"] = False
        head["first_dirty"] = held.rows[r]["next_dirty"]
    return count


@compiled
def oldest_seq(held: Held) -> int:
    """The oldest journal record that no departure has had all of; NONE where there is none."""
    oldest = NONE
    r = held.rows[OPEN]["after"]
    if r != OPEN:
        oldest = held.rows[r]["pending_seq"]  # rows open in the order of the records
    r = held.head[0]["first_dirty"]
    while r != NONE:  # not so these: a late row may have waited for its deadline
        if oldest == NONE or held.rows[r]["pending_seq"] < oldest:
            oldest = held.rows[r]["pending_seq"]
        r = held.rows[r]["next_dirty"]
    return oldest


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
    some = lacks = torn = heirs_known = False
    known_seq = row["first_seq"]
    s = target["first"]
    while s != NONE:
        entry = held.series[s]
        term = term_of[s]
        cell = row["begin"] + entry["slot"]
        if not again or row["late"]:
            if not heirs_known and entry["live"] and entry["seen_ms"] < since_ms:
                _note_heirs(held, term_of, row["target"])
                heirs_known = True
            if _expected_late(held, s, r) if row["late"] else _expected(held, s, at_ms, since_ms):
                held.state[cell] |= EXPECTED
            else:
                held.state[cell] &= ~EXPECTED
        if held.state[cell] & ARRIVED:
            value = held.value[cell]
            stale = is_marker(held.value, cell)
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
            if not again:
                entry["seen_ms"] = at_ms
                entry["seen_seq"] = row["first_seq"]
                entry["live"] = not stale
        elif held.state[cell] & EXPECTED:
            lacks = torn = sums.missing[place, term] = True
        if entry["live"] and entry["seen_seq"] and entry["seen_ms"] >= at_ms - TORN_HORIZON_MS:
            known_seq = min(known_seq, entry["seen_seq"])
        s = entry["next"]
    row["torn"] = torn
    if not again:
        target["known_seq"] = known_seq
    leaving.node[place] = target["node"]
    leaving.time_ms[place] = at_ms
    leaving.seq[place] = row["last_seq"]
    leaving.fills[place] = row["fills"]
    leaving.incomplete[place] = lacks
    for t in range(len(had)):
        sums.had[place, t] = had[t]
    return some


@compiled
def _expected(held: Held, series: int, at_ms: int, since_ms: int) -> bool:
    """Whether a row at this time lacks something where it has no sample of this series."""
    entry = held.series[series]
    if not entry["live"] or entry["seen_ms"] == 0:
        return False
    if entry["seen_ms"] >= since_ms:
        return True
    # One of the same term that has come since then replaces it: as when a label has changed.
    return bool(at_ms - TORN_HORIZON_MS <= entry["seen_ms"] and entry["heir_ms"] <= entry["seen_ms"])


@compiled
def _expected_late(held: Held, series: int, r: int) -> bool:
    """The same for a row that is late: of what has ended before, or begun since, nothing lacks."""
    entry, row = held.series[series], held.rows[r]
    if entry["born_ms"] > row["time_ms"] or not (entry["live"] or entry["seen_ms"] >= row["time_ms"]):
        return False
    older = row["older"]
    for _ in range(LATE_LOOK_BACK_ROWS):
        if older == OPEN or held.rows[older]["time_ms"] < held.targets[row["target"]]["gone_ms"]:
            break
        cell = held.rows[older]["begin"] + entry["slot"]
        if held.state[cell] & ARRIVED:
            return not is_marker(held.value, cell)
        older = held.rows[older]["older"]
    return True


@compiled
def _note_heirs(held: Held, term_of: Int32, target_id: int) -> None:
    """Note of each series of a target the newest of those of its term that came later, and so stand behind it.

    The list is turned round and back, so that each series is met after those behind it.
    """
    target = held.targets[target_id]
    held.newest_ms[:] = 0
    behind, s = NONE, target["first"]
    while s != NONE:
        following = held.series[s]["next"]
        held.series[s]["next"] = behind
        behind, s = s, following
    s = behind
    behind = NONE
    while s != NONE:
        entry = held.series[s]
        entry["heir_ms"] = held.newest_ms[term_of[s]]
        held.newest_ms[term_of[s]] = max(held.newest_ms[term_of[s]], entry["born_ms"])
        following = entry["next"]
        entry["next"] = behind
        behind, s = s, following


@compiled
def _rate(last_ms: int, last: float, at_ms: int, value: float, max_gap_ms: int) -> float:
    """Rise per second; NaN where there was no sample, or it is too long ago. A counter that fell rose by its value."""
    if last_ms <= 0 or at_ms <= last_ms or at_ms - last_ms > max_gap_ms:
        return np.nan
    return 1000.0 * (value - last if value >= last else value) / (at_ms - last_ms)
