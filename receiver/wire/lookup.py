"""Looking byte strings up among those that were met before: compiled.

In: a table of keys, and the bytes of one. Out: the key's number, or `UNKNOWN`. A key is found by a hash with a secret
seed, and then compared. Costs some 100 ns in a large table, mostly for memory that is not in a cache. A key that comes
behind the same one as last time is found by comparing alone, for 15 ns: its memory is next to the other's.

A buffer is given as `words`: a 64-bit number from each of its bytes on, so that eight bytes are read at once. What is
read backwards from a string's end needs eight bytes before that end.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from receiver.columns import Int32, Int64
from receiver.compiled import compiled

UInt64 = NDArray[np.uint64]
UInt8 = NDArray[np.uint8]

WORD_BYTES = 8
# What `find` says of a key that it does not have.
UNKNOWN = -2
# Slots looked at before a key counts as unknown. At most half of them are in use, so that no honest key needs more.
MAX_PROBES = 64

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)


class Table(NamedTuple):
    """Keys and their numbers: the arrays of a `receiver.wire.keys.Keys`."""

    seed: np.uint64
    slots: Int32  # [a power of two] entry, or -1
    entries: Int64  # [E, 4] hash, begin and end among the keys, number
    following: Int32  # [E] the entry that was last found after each
    keys: UInt64  # words of all keys, end to end


@compiled
def hash_of(words: UInt64, begin: int, end: int, seed: np.uint64) -> np.uint64:
    """A hash of the bytes begin ≤ i < end; there must be eight bytes before `end`."""
    length = end - begin
    mixed = seed ^ np.uint64(length)
    for at in range(begin, end - 8, 8):
        mixed = (mixed ^ words[at]) * _MULTIPLIER
        mixed ^= mixed >> _HALF
    mixed = (mixed ^ _last(words, end, length)) * _MULTIPLIER
    return mixed ^ (mixed >> _HALF)


@compiled
def same(words: UInt64, begin: int, others: UInt64, other: int, length: int) -> bool:
    """Whether two strings of this length are equal; there must be eight bytes before each one's end."""
    for step in range(0, length - 8, 8):
        if words[begin + step] != others[other + step]:
            return False
    return bool(_last(words, begin + length, length) == _last(others, other + length, length))


@compiled
def find(table: Table, words: UInt64, begin: int, end: int) -> int:
    """The number of a key, or `UNKNOWN`; there must be eight bytes before its end."""
    entry = _entry_of(table, words, begin, end)
    return int(table.entries[entry, 3]) if entry >= 0 else UNKNOWN


@compiled
def find_after(table: Table, before: int, words: UInt64, begin: int, end: int) -> int:
    """The entry of a key that came after the one of entry `before`, or `UNKNOWN`; there must be eight bytes before."""
    entry = int(table.following[before])
    if end_of(table, entry, words, begin, end) != end:
        entry = _entry_of(table, words, begin, end)
        if entry >= 0:
            table.following[before] = entry
    return entry


@compiled
def end_of(table: Table, entry: int, words: UInt64, begin: int, end: int) -> int:
    """Where the key of this entry ends if it stands at `begin`, before `end`; else -1, as for one under eight bytes."""
    key, length = table.entries[entry, 1], table.entries[entry, 2] - table.entries[entry, 1]
    if 8 <= length <= end - begin and same(words, begin, table.keys, key, length):
        return begin + int(length)
    return -1


@compiled
def _entry_of(table: Table, words: UInt64, begin: int, end: int) -> int:
    wanted = hash_of(words, begin, end, table.seed)
    mask = len(table.slots) - 1
    slot = np.int64(wanted >> _HALF) & mask
    for _ in range(MAX_PROBES):
        entry = table.slots[slot]
        if entry < 0:
            break
        if table.entries[entry, 0] == np.int64(wanted):
            other, length = table.entries[entry, 1], table.entries[entry, 2] - table.entries[entry, 1]
            if length == end - begin and same(words, begin, table.keys, other, length):
                return int(entry)
        slot = (slot + 1) & mask
    return UNKNOWN


@compiled
def link(table: Table, first: int, count: int) -> None:
    """Give the entries first ≤ i < count their slots; one that finds none stays unknown."""
    mask = len(table.slots) - 1
    for entry in range(first, count):
        mixed = hash_of(table.keys, table.entries[entry, 1], table.entries[entry, 2], table.seed)
        table.entries[entry, 0] = np.int64(mixed)
        slot = np.int64(mixed >> _HALF) & mask
        for _ in range(MAX_PROBES):
            if table.slots[slot] < 0:
                table.slots[slot] = entry
                break
            slot = (slot + 1) & mask


@compiled
def _last(words: UInt64, end: int, length: int) -> np.uint64:
    """The last eight bytes of a string of this length; of a shorter one all, and zeros."""
    if length == 0:
        return np.uint64(0)
    return np.uint64(words[end - 8] >> np.uint64(8 * (8 - min(length, 8))))


def words_of(data: bytes | UInt8) -> UInt64:
    """A view of a buffer: the eight bytes from each place on, as a number. Of a tiny one a copy, and zeros."""
    if len(data) <= WORD_BYTES:  # an array of less than two words is of another type, for which loops would be compiled
        data = bytes(data) + bytes(WORD_BYTES + 1)
    return np.ndarray((len(data) - WORD_BYTES + 1,), "<u8", data, strides=(1,))
