"""What both versions' scans share: the fields of protobuf, the samples, and where a series is put. Compiled.

sample   12 n { [09 VALUE:8] [10 TIMESTAMP:varint] [18 START:varint] }   a zero is left out
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from receiver.columns import Int32, Int64
from receiver.compiled import compiled
from receiver.series import UNWANTED
from receiver.wire.lookup import UNKNOWN, Table, UInt8, UInt64, find_after, same

# Tags: the number of a field, shifted, and how it is encoded.
FIELD_1, FIELD_2, FIELD_3, FIELD_4, FIELD_5 = 0x0A, 0x12, 0x1A, 0x22, 0x2A  # a length and so many bytes
_VALUE, _TIMESTAMP, _START = 0x09, 0x10, 0x18  # of a sample: eight bytes, varint, varint
_SIGN = -(2**63)
# Of a series that is not of the usual shape.
UNUSUAL = -3


class Wanted(NamedTuple):
    """What the catalogue asks for."""

    names: Table  # metric names
    first_needle: Int64  # [metrics + 1] each metric's values, of which a series must hold one; none: all are looked at
    needles: Int64  # [values, 2] begin and end in `text`
    text: UInt64  # words


class Found(NamedTuple):
    """What a scan of N series fills."""

    counts: Int64  # [3] samples kept, series set aside, samples that nobody wants
    spelling: Int32  # [N] numbers of known series, of kept samples
    time_ms: Int64  # [N]
    value: UInt64  # [N] bits
    place: Int64  # [N, 2] begin and end of their series in the body
    aside: Int64  # [N, 4] number of a series to be parsed, begin, end, and whether its labels are to be learnt


@compiled
def varint(body: UInt8, at: int, end: int) -> tuple[int, int]:
    """A number, of 2⁶³ and more as one below zero, and what follows it; -1 twice where there is none."""
    value = shift = 0
    while at < end and shift < 63:
        byte = int(np.int64(body[at]))
        value |= (byte & 0x7F) << shift
        at += 1
        shift += 7
        if byte < 0x80:
            return value, at
    if shift == 63 and at < end and body[at] == 1:
        return value + _SIGN, at + 1
    return -1, -1


@compiled
def sample(body: UInt8, words: UInt64, at: int, end: int) -> tuple[int, int, np.uint64]:
    """Where the sample that begins here ends, its time, the bits of its value; -1 where it is unusual."""
    nothing = np.uint64(0)
    if not 0 <= at < end or body[at] != FIELD_2:
        return -1, 0, nothing
    length, at = varint(body, at + 1, end)
    if not 0 <= length <= end - at:
        return -1, 0, nothing
    stop = at + length
    time_ms, value = 0, nothing
    if stop - at >= 9 and body[at] == _VALUE:
        value = words[at + 1]
        at += 9
    if at < stop and body[at] == _TIMESTAMP:
        time_ms, at = varint(body, at + 1, stop)
    if 0 <= at < stop and body[at] == _START:
        _, at = varint(body, at + 1, stop)
    return stop if at == stop else -1, time_ms, value


@compiled
def entry_of(words: UInt64, begin: int, end: int, metric: int, wanted: Wanted, known: Table, before: int) -> int:
    """Entry of a series by its labels, behind the one that was met before, `UNWANTED` or `UNKNOWN`."""
    # A look at the labels costs less than one into a table that no cache holds.
    if metric < 0 or not _holds_needle(words, begin, end, metric, wanted):
        return UNWANTED
    return find_after(known, before, words, begin, end)


@compiled
def _holds_needle(words: UInt64, begin: int, end: int, metric: int, wanted: Wanted) -> bool:
    """Whether a label has a value that the metric must have somewhere; where none need, or one is unusual, it does."""
    first, stop = wanted.first_needle[metric], wanted.first_needle[metric + 1]
    if first == stop or end > len(words):  # the second: there is no word from each byte on
        return True
    at = begin
    while at < end:  # 0a l { 0a n NAME 12 n VALUE }, all lengths of one byte
        head = int(np.int64(words[at] & np.uint64(0xFFFFFFFF)))
        length, name_tag, name_length = head >> 8 & 0xFF, head >> 16 & 0xFF, head >> 24
        value = at + 4 + name_length
        if length >= 0x80 or name_tag != FIELD_1 or name_length >= 0x80 or value + 2 > end:
            return True
        value_length = int(np.int64(words[value] >> np.uint64(8) & np.uint64(0xFF)))
        if words[value] & np.uint64(0xFF) != np.uint64(FIELD_2) or value + value_length != at + length:
            return True
        for needle in range(first, stop):
            text, size = wanted.needles[needle, 0], wanted.needles[needle, 1] - wanted.needles[needle, 0]
            if size == value_length and same(words, value + 2, wanted.text, text, size):
                return True
        at += 2 + length
    return False


@compiled
def note(found: Found, number: int, series: int, time_ms: int, value: np.uint64, begin: int, end: int) -> None:
    """Put one series where it belongs."""
    kept, aside = found.counts[0], found.counts[1]
    if series == UNWANTED:
        found.counts[2] += 1
    elif series >= 0:
        found.spelling[kept], found.time_ms[kept], found.value[kept] = series, time_ms, value
        found.place[kept, 0], found.place[kept, 1] = begin, end
        found.counts[0] = kept + 1
    else:
        found.aside[aside, 0], found.aside[aside, 1], found.aside[aside, 2] = number, begin, end
        found.aside[aside, 3] = series == UNKNOWN
        found.counts[1] = aside + 1
