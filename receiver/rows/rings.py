"""The lists that rows and targets are in while they are held, as links in their own arrays. Compiled.

Every row is in one of three rings, of those that are open, those that have left whole, and those that have left torn,
in the order in which it came there. A target whose rows may be able to leave is among the touched, a row that is to
leave again among the dirty.
"""

from __future__ import annotations

from receiver.compiled import compiled
from receiver.rows.held import NONE, TORN, WHOLE, Held


@compiled
def touch(held: Held, target: int) -> None:
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
def change(held: Held, r: int, seq: int) -> None:
    """A journal record changes a row; one that has left is to leave again."""
    row = held.rows[r]
    row["last_seq"] = seq
    if row["left"] and not row["dirty"]:
        row["pending_seq"] = seq
        soil(held, r)


@compiled
def soil(held: Held, r: int) -> None:
    """A row that is not dirty is to leave again."""
    head = held.head[0]
    held.rows[r]["dirty"] = True
    held.rows[r]["next_dirty"] = NONE
    if head["first_dirty"] == NONE:
        head["first_dirty"] = r
    else:
        held.rows[head["last_dirty"]]["next_dirty"] = r
    head["last_dirty"] = r


@compiled
def release(held: Held, r: int, now_ms: int) -> None:
    """A row leaves."""
    head = held.head[0]
    head["open_rows"] -= 1
    if head["last_due"] == r:
        head["last_due"] = held.rows[r]["before"]
    held.rows[r]["left"] = True
    file(held, r, now_ms)


@compiled
def file(held: Held, r: int, now_ms: int) -> None:
    """A row that has left is whole from now on, or torn."""
    held.rows[r]["since_ms"] = now_ms
    unlink(held, r)
    link(held, r, TORN if held.rows[r]["torn"] else WHOLE)


@compiled
def link(held: Held, r: int, ring: int) -> None:
    """Put a row at the end of a ring."""
    last = held.rows[ring]["before"]
    held.rows[r]["before"] = last
    held.rows[r]["after"] = ring
    held.rows[last]["after"] = r
    held.rows[ring]["before"] = r


@compiled
def unlink(held: Held, r: int) -> None:
    """Take a row out of its ring."""
    before, after = held.rows[r]["before"], held.rows[r]["after"]
    held.rows[before]["after"] = after
    held.rows[after]["before"] = before
