"""What the assembler holds, as arrays: series, targets, rows, and the cells with the rows' samples.

Ids are indices. A target's series have *slots*; each of its held rows has `room` cells, one a slot, from `begin` on.
Rows stand in two kinds of list: those of one target by time (`older`, `newer`), and all that are open, whole or torn,
by age (`before`, `after`): rings through the rows `OPEN`, `WHOLE` and `TORN`, which are nothing else.

Costs 88 bytes a series, 72 and one a catalogue term a target, 88 a held row and 9 a cell, twice where arrays have
just grown. `arriving`, `leaving` and `forgetting` work on them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from receiver.columns import STALE_NAN_BITS, Bool, Bytes, Float64, Int64
from receiver.compiled import compiled

Records = NDArray[np.void]

SERIES = np.dtype(
    [
        ("slot", np.int32),  # NONE: has none
        ("next", np.int32),  # series of its target, or NONE
        ("live", np.bool_),  # from its first sample on, until a staleness marker
        ("born_ms", np.int64),  # of its first sample; 1: there may have been older ones; 0: none has come
        ("heir_ms", np.int64),  # `born_ms` of the newest of its term behind it, when last asked; 0: there is none
        ("seen_ms", np.int64),  # of its newest sample or marker in a row that has left; 0: never
        ("seen_seq", np.int64),  # journal record from which on a restart would know of that; 0: there is none
        ("ended_seq", np.int64),  # the newest journal record with a marker of it; 0: there is none
        ("ended_ms", np.int64),  # up to this time, exclusive, rows know of the record's markers
        ("arrived_ms", np.int64),  # when a sample of any time last came in
        ("last_ms", np.int64),  # of the newest value in a row that has left, for rates; 0: there is none
        ("last_value", np.float64),
    ],
    align=True,
)
TARGET = np.dtype(
    [
        ("node", np.int32),
        ("first", np.int32),  # series, or NONE
        ("last", np.int32),
        ("slots", np.int32),
        ("room", np.int32),
        ("recent", np.int32),  # row that was looked up last; OPEN: it has no rows
        ("next", np.int32),  # row to leave next: the oldest that waits; OPEN: there is none
        ("touched", np.bool_),  # is in the list of those to look at
        ("next_touched", np.int32),
        ("last_ms", np.int64),  # of the newest row that has left; -1: none has
        ("gone_ms", np.int64),  # of the newest row that is no longer held; -1: all are
        ("interval_ms", np.int64),  # 0: not known
        ("known_seq", np.int64),  # the oldest `seen_seq` of what its next row may lack; 0: no row has left
    ],
    align=True,
)
ROW = np.dtype(
    [
        ("target", np.int32),
        ("older", np.int32),  # rows of its target, or OPEN
        ("newer", np.int32),
        ("before", np.int32),  # rows of its kind, by age
        ("after", np.int32),
        ("next_dirty", np.int32),
        ("late", np.bool_),  # older than one that had left when it came: it has no rates
        ("fills", np.bool_),  # there may have been one before that is no longer held
        ("left", np.bool_),
        ("dirty", np.bool_),  # has left, and has changed since
        ("torn", np.bool_),  # has left, and lacks a sample that is expected
        ("time_ms", np.int64),
        ("since_ms", np.int64),  # when it came into its ring
        ("first_seq", np.int64),  # journal record that opened it
        ("needed_seq", np.int64),  # that, or an older one, without which a restart would not know what it lacks
        ("pending_seq", np.int64),  # oldest journal record that no departure has had the effect of
        ("last_seq", np.int64),  # newest journal record that has changed it
        ("begin", np.int64),  # its first cell; NONE: the row is free
    ],
    align=True,
)
# The ends of the lists, and the sums.
HEAD = np.dtype(
    [
        ("first_touched", np.int32),  # target, or NONE
        ("last_touched", np.int32),
        ("first_dirty", np.int32),  # row, or NONE
        ("last_dirty", np.int32),
        ("last_due", np.int32),  # open row up to which deadlines are known to have passed; OPEN: there is none
        ("first_free", np.int32),  # row, or NONE; linked by `after`
        ("open_rows", np.int64),
        ("held_rows", np.int64),
        ("held_cells", np.int64),
        ("used_cells", np.int64),  # those that rows have given up among them
        ("needed_cells", np.int64),  # what a pass that stopped could not get
        ("doubted_seq", np.int64),  # up to this journal record, samples may have come before that are not here
        ("known_targets", np.int64),  # at start
    ],
    align=True,
)
NONE = -1
OPEN, WHOLE, TORN = 0, 1, 2  # the rings' own rows

# No row that has left is held for longer, and a series that has fallen silent is expected for so long: by then what
# stood behind a slow connection, or waited for a sender's longest back-off, has come.
TORN_HORIZON_MS = 3_600_000

# What a cell holds.
ARRIVED = 1
EXPECTED = 2  # known once the row has left: what lacks it is missing

_STALE = np.int64(STALE_NAN_BITS)


class Held(NamedTuple):
    """All of it, as the passes take it."""

    head: Records  # [1] HEAD
    series: Records  # [S] SERIES
    targets: Records  # [G] TARGET
    had: Bool  # [G, T] terms that a target has ever had
    newest_ms: Int64  # [T] room for a pass
    rows: Records  # [R] ROW
    value: Float64  # [C] of a cell that has arrived
    state: Bytes  # [C] ARRIVED, EXPECTED, both or 0


def nothing(terms: int) -> Held:
    """Room for nothing yet, under a catalogue of `terms` terms."""
    head = np.zeros(1, HEAD)
    for name in ("first_touched", "last_touched", "first_dirty", "last_dirty", "first_free"):
        head[name] = NONE
    rows = np.zeros(3, ROW)
    rows["before"] = rows["after"] = (OPEN, WHOLE, TORN)
    rows["begin"] = NONE
    return Held(
        head,
        np.zeros(0, SERIES),
        np.zeros(0, TARGET),
        np.zeros((0, terms), np.bool_),
        np.zeros(terms, np.int64),
        rows,
        np.zeros(0),
        np.zeros(0, np.uint8),
    )


def new_series(count: int) -> Records:
    """Entries of series of which nothing is known."""
    new = np.zeros(count, SERIES)
    new["slot"] = new["next"] = NONE
    return new


def new_targets(count: int) -> Records:
    """Entries of targets of which nothing is known."""
    new = np.zeros(count, TARGET)
    new["first"] = new["last"] = new["next_touched"] = new["last_ms"] = new["gone_ms"] = NONE
    return new


def with_series(held: Held, series: int) -> Held:
    """Has entries for series below `series`."""
    more = _growth(len(held.series), series)
    if not more:
        return held
    return held._replace(series=np.concatenate((held.series, new_series(more))))


def with_targets(held: Held, targets: int) -> Held:
    """Has entries for targets below `targets`; their nodes are still to be set."""
    more = _growth(len(held.targets), targets)
    if not more:
        return held
    had = np.zeros((more, held.had.shape[1]), np.bool_)
    return held._replace(targets=np.concatenate((held.targets, new_targets(more))), had=np.concatenate((held.had, had)))


def with_free_rows(held: Held) -> Held:
    """Has a row that is free."""
    if held.head["first_free"][0] != NONE:
        return held
    have, more = len(held.rows), _growth(len(held.rows), len(held.rows) + 1)
    new = np.zeros(more, ROW)
    new["after"] = np.arange(have + 1, have + more + 1)
    new["after"][-1] = NONE
    new["begin"] = NONE
    held.head["first_free"] = have
    return held._replace(rows=np.concatenate((held.rows, new)))


def with_free_cells(held: Held) -> Held:
    """Has the cells that a pass was short of. Those that are in use move together, as they do every so often."""
    used = int(held.head["held_cells"][0])
    # Twice what is needed, so that moving a cell costs little in the long run.
    size = 2 * (used + max(int(held.head["needed_cells"][0]), 1024))
    larger = held._replace(value=np.empty(size), state=np.zeros(size, np.uint8))
    move_cells(held, larger)
    return larger


@compiled
def move_cells(held: Held, larger: Held) -> None:
    """Put the cells of all rows into other arrays, one row behind the other."""
    used = 0
    for r in range(len(held.rows)):
        row = held.rows[r]
        if row["begin"] != NONE:
            room = held.targets[row["target"]]["room"]
            for k in range(room):
                larger.value[used + k] = held.value[row["begin"] + k]
                larger.state[used + k] = held.state[row["begin"] + k]
            row["begin"] = used
            used += room
    held.head[0]["used_cells"] = used


@compiled
def is_marker(value: Float64, place: int) -> bool:
    """Whether a sample is a staleness marker."""
    return bool(value[place : place + 1].view(np.int64)[0] == _STALE)


def _growth(have: int, needed: int) -> int:
    """By how many entries an array grows: to twice its size at least, so that growing costs little in the long run."""
    return max(needed, 2 * have, 1024) - have if needed > have else 0
