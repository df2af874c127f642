"""The loop over a version 1 request's bytes: where its series are, which of them are kept, what they say. Compiled.

In: a decoded body, the wanted metric names, the known series. Out: in `Found`. Raises nothing. Costs some 0.08 µs for
an unwanted series, 0.05 µs for a known one that comes in the usual order, else 0.2 µs.

Nearly every series of nearly every sender is its labels, `__name__` first, and one sample:

    0a L { 0a l { 0a 08 "__name__" 12 n NAME } 0a l { 0a n LABEL 12 n VALUE } …  SAMPLE }

A wanted series of that shape is looked up by the bytes of its labels. Those were parsed in full when they were first
met, so that equal bytes are valid labels; other bytes are unknown. What is unwanted is stepped over: its framing, its
name and its sample are checked, its other labels are not.

Senders keep to an order: behind a series that is known, the one that followed it last time is looked for first.
"""

from __future__ import annotations

import numpy as np

from receiver.compiled import compiled
from receiver.wire.fields import FIELD_1, FIELD_2, UNUSUAL, Found, Wanted, entry_of, note, sample, varint
from receiver.wire.lookup import UNKNOWN, Table, UInt8, UInt64, end_of, find

_NAME_LABEL = np.uint64(int.from_bytes(b"\x0a\x08__name", "little"))
# A label message of the name up to the length of its value; and with the shortest value.
_NAME_LABEL_BYTES = 11
_SHORTEST_NAME_LABEL_BYTES = 13


@compiled
def count(body: UInt8) -> int:
    """How many series a version 1 request has; -1 where it has anything else."""
    count = at = 0
    while at < len(body):
        length, begin = varint(body, at + 1, len(body))
        if body[at] != FIELD_1 or not 0 <= length <= len(body) - begin:
            return -1
        at = begin + length
        count += 1
    return count


@compiled
def scan(body: UInt8, words: UInt64, wanted: Wanted, known: Table, found: Found) -> None:
    """Go through a body that `count` has counted."""
    at = before = number = 0
    while number < len(found.spelling):
        length, begin = varint(body, at + 1, len(body))
        end = at = begin + length
        metric, labels_end = _labels(body, words, begin, end, wanted)
        sample_end, time_ms, value = sample(body, words, labels_end, end)
        entry = UNUSUAL
        if sample_end == end:
            entry = entry_of(words, begin, labels_end, metric, wanted, known, before)
        if entry < 0:
            note(found, number, entry, time_ms, value, begin, end)
            number += 1
        else:
            note(found, number, known.entries[entry, 3], time_ms, value, begin, end)
            number, at, before = _go_on(body, words, known, found, number + 1, at, entry)


@compiled
def _go_on(
    body: UInt8, words: UInt64, known: Table, found: Found, number: int, at: int, before: int
) -> tuple[int, int, int]:
    """Take the series that come in the usual order behind entry `before`; number and begin of the next, last entry."""
    while number < len(found.spelling):
        length, begin = varint(body, at + 1, len(body))
        end = begin + length
        entry = int(known.following[before])
        sample_end, time_ms, value = sample(body, words, end_of(known, entry, words, begin, end), end)
        if sample_end != end:
            break
        note(found, number, known.entries[entry, 3], time_ms, value, begin, end)
        number, at, before = number + 1, end, entry
    return number, at, before


@compiled
def _labels(body: UInt8, words: UInt64, begin: int, end: int, wanted: Wanted) -> tuple[int, int]:
    """The metric, and where the labels end; -1 where the first is not the name, or they are not whole."""
    if begin == end or body[begin] != FIELD_1:
        return UNKNOWN, -1
    length, at = varint(body, begin + 1, end)
    if not _SHORTEST_NAME_LABEL_BYTES <= length <= end - at:
        return UNKNOWN, -1
    if words[at] != _NAME_LABEL or body[at + 8] != 0x5F or body[at + 9] != 0x5F or body[at + 10] != FIELD_2:
        return UNKNOWN, -1
    name_length, name = varint(body, at + _NAME_LABEL_BYTES, at + length)
    if name_length <= 0 or name + name_length != at + length:
        return UNKNOWN, -1
    metric = find(wanted.names, words, name, name + name_length)
    at += length
    while at < end and body[at] == FIELD_1:
        length, at = varint(body, at + 1, end)
        if not 0 <= length <= end - at:
            return UNKNOWN, -1
        at += length
    return metric, at
