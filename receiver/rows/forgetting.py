"""Series that are let go of: a compiled pass over their targets, some µs each."""

from __future__ import annotations

from receiver.columns import Int32
from receiver.compiled import compiled
from receiver.rows.held import NONE, OPEN, Held

_GONE = -2  # a slot that is taken from its series, which is still linked


@compiled
def forget(held: Held, target_of: Int32, series: Int32) -> None:
    """Take the slots of these series; their targets' other series move up, and so do the cells of held rows."""
    for one in series:
        if held.series[one]["slot"] != NONE:
            held.series[one]["slot"] = _GONE
            held.series[one]["live"] = False
    for one in series:
        if held.series[one]["slot"] == _GONE:
            _close_up(held, target_of[one])


@compiled
def _close_up(held: Held, target_id: int) -> None:
    target = held.targets[target_id]
    oldest = target["recent"]
    while oldest != OPEN and held.rows[oldest]["older"] != OPEN:
        oldest = held.rows[oldest]["older"]
    slots, last = 0, NONE
    s = target["first"]
    target["first"] = NONE
    while s != NONE:
        entry = held.series[s]
        following = entry["next"]
        entry["next"] = NONE
        if entry["slot"] == _GONE:
            entry["slot"] = NONE
        else:
            if last == NONE:
                target["first"] = s
            else:
                held.series[last]["next"] = s
            last = s
            _move(held, oldest, entry["slot"], slots)
            entry["slot"] = slots
            slots += 1
        s = following
    target["last"] = last
    _clear(held, oldest, slots, target["slots"])
    target["slots"] = slots


@compiled
def _move(held: Held, r: int, old: int, new: int) -> None:
    """Move one cell of each row from `r` on to another slot."""
    while r != OPEN:
        begin = held.rows[r]["begin"]
        held.value[begin + new] = held.value[begin + old]
        held.state[begin + new] = held.state[begin + old]
        r = held.rows[r]["newer"]


@compiled
def _clear(held: Held, r: int, first: int, end: int) -> None:
    """Empty the cells of these slots in each row from `r` on."""
    while r != OPEN:
        begin = held.rows[r]["begin"]
        held.state[begin + first : begin + end] = 0
        r = held.rows[r]["newer"]
