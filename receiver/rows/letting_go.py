"""Rows that have left and are held no longer: compiled.

Costs some 20 ns a row that goes, and nothing for those that stay.
"""

from __future__ import annotations

from receiver.compiled import compiled
from receiver.rows.held import NONE, OPEN, TORN, TORN_HORIZON_MS, WHOLE, Held
from receiver.rows.rings import unlink

# What a row costs besides its cells, counted in samples of 20 bytes.
ROW_SAMPLES = 8


@compiled
def give_up(held: Held, now_ms: int, horizon_ms: int, spare_samples: int, torn_samples: int) -> tuple[int, int]:
    """Let go of rows, the oldest first; how many torn ones went for their age, and for room.

    Whole ones go after the horizon, as long as more than `spare_samples` are held, torn ones as long as more than
    `torn_samples` are, and all after `TORN_HORIZON_MS`. One that is to leave again is kept until it has.
    """
    r = held.rows[WHOLE]["after"]
    while r != WHOLE and held.rows[r]["since_ms"] + horizon_ms <= now_ms:
        after = held.rows[r]["after"]
        if held.rows[r]["since_ms"] + TORN_HORIZON_MS > now_ms and held_samples(held) <= spare_samples:
            break
        if not held.rows[r]["dirty"]:
            _free(held, r)
        r = after
    for_age = for_room = 0
    r = held.rows[TORN]["after"]
    while r != TORN:
        after = held.rows[r]["after"]
        aged = held.rows[r]["since_ms"] + TORN_HORIZON_MS <= now_ms
        if not aged and held_samples(held) <= torn_samples:
            break
        if not held.rows[r]["dirty"]:
            _free(held, r)
            for_age += aged
            for_room += not aged
        r = after
    return for_age, for_room


@compiled
def held_samples(held: Held) -> int:
    """What is held, in samples of 20 bytes."""
    return int(held.head[0]["held_cells"] + ROW_SAMPLES * held.head[0]["held_rows"])


@compiled
def _free(held: Held, r: int) -> None:
    head = held.head[0]
    row = held.rows[r]
    target = held.targets[row["target"]]
    target["gone_ms"] = max(target["gone_ms"], row["time_ms"])
    if row["older"] != OPEN:
        held.rows[row["older"]]["newer"] = row["newer"]
    if row["newer"] != OPEN:
        held.rows[row["newer"]]["older"] = row["older"]
    if target["recent"] == r:
        target["recent"] = row["newer"] if row["newer"] != OPEN else row["older"]
    unlink(held, r)
    row["after"] = head["first_free"]
    row["begin"] = NONE
    head["first_free"] = r
    head["held_rows"] -= 1
    head["held_cells"] -= target["room"]
