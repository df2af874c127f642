"""The loops over a request's bytes: where its series are, which of them are kept, what they say.

In: a decoded body, the wanted metric names, the known series. Out: arrays with one entry for each kept sample, and
the places of what these loops leave to a full parse: series that are new, unusual or damaged. Raises nothing. Costs
some 0.05 µs for an unwanted series, 0.1 µs for a known one.

Nearly every series of nearly every sender is its labels, `__name__` first, and one sample:

    v1   0a L { 0a l { 0a 08 "__name__" 12 n NAME } 0a l { 0a n LABEL 12 n VALUE } …  SAMPLE }
    v2   2a L { 0a l { NAME-REF VALUE-REF … } SAMPLE [2a n METADATA] }      a reference counts 22 n SYMBOL
    sample   12 n { [09 VALUE:8] [10 TIMESTAMP:varint] [18 START:varint] }   a zero is left out

A wanted series of that shape is looked up by its labels as version 1 encodes them. Those bytes were parsed in full
when they were first met, so that equal bytes are valid labels; other bytes are unknown. What is unwanted is stepped
over: its framing, its name and its sample are checked, its other labels are not.

All of it is compiled, in one file (`receiver.compiled` says why). A buffer comes with `words`, a 64-bit number from
each of its bytes on, so that eight bytes are read at once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from receiver.columns import Int32, Int64
from receiver.compiled import compiled
from receiver.series import UNWANTED

UInt64 = NDArray[np.uint64]
UInt8 = NDArray[np.uint8]

WORD_BYTES = 8
# What `find` says of a key that it does not have.
UNKNOWN = -2
# Slots looked at before a key counts as unknown. At most half of them are in use, so that no honest key needs more.
MAX_PROBES = 64

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)
_NAME_LABEL = np.uint64(int.from_bytes(b"\x0a\x08__name", "little"))
_NAME = np.uint64(int.from_bytes(b"__name__", "little"))
# A label message of the name up to the length of its value; and with the shortest value.
_NAME_LABEL_BYTES = 11
_SHORTEST_NAME_LABEL_BYTES = 13
_UNUSUAL = -3
# Tags: the number of a field, shifted, and how it is encoded.
_FIELD_1, _FIELD_2, _SYMBOL, _FIELD_5 = 0x0A, 0x12, 0x22, 0x2A  # a length and so many bytes
_VALUE, _TIMESTAMP, _START = 0x09, 0x10, 0x18  # of a sample: eight bytes, varint, varint


class Table(NamedTuple):
    """Keys and their numbers: the arrays of a `receiver.wire.keys.Keys`."""

    seed: np.uint64
    slots: Int32  # [a power of two] entry, or -1
    entries: Int64  # [E, 4] hash, begin and end among the keys, number
    keys: UInt64  # words of all keys, end to end


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


class Symbols(NamedTuple):
    """Of a version 2 request, filled by its scan. For S symbols and N series."""

    symbol: Int64  # [S, 2] begin and end
    metric: Int64  # [S] number of the metric that it names, or UNKNOWN
    series: Int64  # [N, 2] begin and end
    labels: UInt8  # room for one series' labels as version 1 has them
    label_words: UInt64  # the same


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
                return int(table.entries[entry, 3])
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
def count_v1(body: UInt8) -> int:
    """How many series a version 1 request has; -1 where it has anything else."""
    count = at = 0
    while at < len(body):
        length, begin = _varint(body, at + 1, len(body))
        if body[at] != _FIELD_1 or not 0 <= length <= len(body) - begin:
            return -1
        at = begin + length
        count += 1
    return count


@compiled
def count_v2(body: UInt8) -> tuple[int, int]:
    """How many symbols and series a version 2 request has; -1 twice where it has anything else."""
    symbols = series = at = 0
    while at < len(body):
        length, begin = _varint(body, at + 1, len(body))
        if not 0 <= length <= len(body) - begin:
            return -1, -1
        if body[at] == _SYMBOL:
            symbols += 1
        elif body[at] == _FIELD_5:
            series += 1
        else:
            return -1, -1
        at = begin + length
    return symbols, series


@compiled
def scan_v1(body: UInt8, words: UInt64, wanted: Wanted, known: Table, found: Found) -> None:
    """Go through a body that `count_v1` has counted."""
    at = 0
    for number in range(len(found.spelling)):
        length, begin = _varint(body, at + 1, len(body))
        end = at = begin + length
        metric, labels_end = _labels_v1(body, words, begin, end, wanted)
        sample_end, time_ms, value = _sample(body, words, labels_end, end)
        series = _UNUSUAL
        if sample_end == end:
            series = _series(words, begin, labels_end, metric, wanted, known)
        _note(found, number, series, time_ms, value, begin, end)


@compiled
def scan_v2(body: UInt8, words: UInt64, wanted: Wanted, known: Table, found: Found, symbols: Symbols) -> None:
    """Go through a body that `count_v2` has counted."""
    _open_v2(body, words, wanted, symbols)
    for number in range(len(found.spelling)):
        begin, end = symbols.series[number, 0], symbols.series[number, 1]
        metric, refs_begin, refs_end = _references(body, words, begin, end, symbols)
        sample_end, time_ms, value = _sample(body, words, refs_end, end)
        if 0 < sample_end < end and body[sample_end] == _FIELD_5:  # metadata
            length, after = _varint(body, sample_end + 1, end)
            sample_end = after + length if 0 <= length <= end - after else -1
        series = _UNUSUAL
        if sample_end == end:
            labels_end = WORD_BYTES if metric < 0 else _as_v1(body, words, refs_begin, refs_end, symbols)
            if labels_end > 0:
                series = _series(symbols.label_words, WORD_BYTES, labels_end, metric, wanted, known)
        _note(found, number, series, time_ms, value, begin, end)


@compiled
def _varint(body: UInt8, at: int, end: int) -> tuple[int, int]:
    """A number below 2⁶³ and what follows it; -1 twice where there is none."""
    value = shift = 0
    while at < end and shift < 63:
        byte = int(np.int64(body[at]))
        value |= (byte & 0x7F) << shift
        at += 1
        shift += 7
        if byte < 0x80:
            return value, at
    return -1, -1


@compiled
def _last(words: UInt64, end: int, length: int) -> np.uint64:
    """The last eight bytes of a string of this length; of a shorter one all, and zeros."""
    if length == 0:
        return np.uint64(0)
    return np.uint64(words[end - 8] >> np.uint64(8 * (8 - min(length, 8))))


@compiled
def _labels_v1(body: UInt8, words: UInt64, begin: int, end: int, wanted: Wanted) -> tuple[int, int]:
    """The metric, and where the labels end; -1 where the first is not the name, or they are not whole."""
    if begin == end or body[begin] != _FIELD_1:
        return UNKNOWN, -1
    length, at = _varint(body, begin + 1, end)
    if not _SHORTEST_NAME_LABEL_BYTES <= length <= end - at:
        return UNKNOWN, -1
    if words[at] != _NAME_LABEL or body[at + 8] != 0x5F or body[at + 9] != 0x5F or body[at + 10] != _FIELD_2:
        return UNKNOWN, -1
    name_length, name = _varint(body, at + _NAME_LABEL_BYTES, at + length)
    if name_length <= 0 or name + name_length != at + length:
        return UNKNOWN, -1
    metric = find(wanted.names, words, name, name + name_length)
    at += length
    while at < end and body[at] == _FIELD_1:
        length, at = _varint(body, at + 1, end)
        if not 0 <= length <= end - at:
            return UNKNOWN, -1
        at += length
    return metric, at


@compiled
def _open_v2(body: UInt8, words: UInt64, wanted: Wanted, symbols: Symbols) -> None:
    """Note where symbols and series are, and which symbols name a metric."""
    symbol = series = at = 0
    while at < len(body):
        length, begin = _varint(body, at + 1, len(body))
        if body[at] == _SYMBOL:
            symbols.symbol[symbol, 0], symbols.symbol[symbol, 1] = begin, begin + length
            symbols.metric[symbol] = _UNUSUAL  # too near to the body's begin to be looked up
            if length > 0 and begin + length >= WORD_BYTES:
                symbols.metric[symbol] = find(wanted.names, words, begin, begin + length)
            symbol += 1
        else:
            symbols.series[series, 0], symbols.series[series, 1] = begin, begin + length
            series += 1
        at = begin + length


@compiled
def _references(body: UInt8, words: UInt64, begin: int, end: int, symbols: Symbols) -> tuple[int, int, int]:
    """The metric, and begin and end of the references; an end of -1 where the first pair is not the name."""
    if begin == end or body[begin] != _FIELD_1:
        return UNKNOWN, begin, -1
    length, first = _varint(body, begin + 1, end)
    if not 0 < length <= end - first:
        return UNKNOWN, begin, -1
    label, at = _varint(body, first, first + length)
    if not 0 <= label < len(symbols.symbol):
        return UNKNOWN, begin, -1
    name, _ = _varint(body, at, first + length)
    if not 0 <= name < len(symbols.symbol) or symbols.metric[name] == _UNUSUAL:
        return UNKNOWN, begin, -1
    label_begin, label_end = symbols.symbol[label, 0], symbols.symbol[label, 1]
    if label_end - label_begin != 8 or words[label_begin] != _NAME:
        return UNKNOWN, begin, -1
    return symbols.metric[name], first, first + length


@compiled
def _as_v1(body: UInt8, words: UInt64, begin: int, end: int, symbols: Symbols) -> int:
    """Write the labels as version 1 has them; where they end, or -1 where they are unusual."""
    at, out = begin, WORD_BYTES
    while at < end:
        name, at = _varint(body, at, end)
        if not 0 <= name < len(symbols.symbol):
            return -1
        value, at = _varint(body, at, end)
        if not 0 <= value < len(symbols.symbol):
            return -1
        name_length = symbols.symbol[name, 1] - symbols.symbol[name, 0]
        value_length = symbols.symbol[value, 1] - symbols.symbol[value, 0]
        length = 1 + _size(name_length) + name_length
        if value_length > 0:  # an empty one is left out
            length += 1 + _size(value_length) + value_length
        if name_length == 0 or out + length + 2 * WORD_BYTES > len(symbols.labels):
            return -1
        out = _put_length(symbols.labels, out, _FIELD_1, length)
        out = _put_text(symbols, out, _FIELD_1, body, words, name)
        if value_length > 0:
            out = _put_text(symbols, out, _FIELD_2, body, words, value)
    return out


@compiled
def _size(length: int) -> int:
    return 1 if length < 0x80 else 2 if length < 0x4000 else 3


@compiled
def _put_length(labels: UInt8, at: int, tag: int, length: int) -> int:
    labels[at] = tag
    at += 1
    while length >= 0x80:
        labels[at] = length & 0x7F | 0x80
        length >>= 7
        at += 1
    labels[at] = length
    return at + 1


@compiled
def _put_text(symbols: Symbols, at: int, tag: int, body: UInt8, words: UInt64, symbol: int) -> int:
    begin, end = symbols.symbol[symbol, 0], symbols.symbol[symbol, 1]
    at = _put_length(symbols.labels, at, tag, end - begin)
    if end + WORD_BYTES <= len(body):
        for step in range(0, end - begin, WORD_BYTES):  # the last one's surplus is written over, or never read
            symbols.label_words[at + step] = words[begin + step]
    else:
        for step in range(end - begin):
            symbols.labels[at + step] = body[begin + step]
    return int(at + end - begin)


@compiled
def _sample(body: UInt8, words: UInt64, at: int, end: int) -> tuple[int, int, np.uint64]:
    """Where the sample that begins here ends, its time, the bits of its value; -1 where it is unusual."""
    nothing = np.uint64(0)
    if not 0 <= at < end or body[at] != _FIELD_2:
        return -1, 0, nothing
    length, at = _varint(body, at + 1, end)
    if not 0 <= length <= end - at:
        return -1, 0, nothing
    stop = at + length
    time_ms, value = 0, nothing
    if stop - at >= 9 and body[at] == _VALUE:
        value = words[at + 1]
        at += 9
    if at < stop and body[at] == _TIMESTAMP:
        time_ms, at = _varint(body, at + 1, stop)
    if 0 <= at < stop and body[at] == _START:
        _, at = _varint(body, at + 1, stop)
    return stop if at == stop else -1, time_ms, value


@compiled
def _series(words: UInt64, begin: int, end: int, metric: int, wanted: Wanted, known: Table) -> int:
    """Number of a series by its labels, `UNWANTED` or `UNKNOWN`."""
    if metric < 0:
        return UNWANTED
    series = find(known, words, begin, end)
    if series == UNKNOWN and not _holds_needle(words, begin, end, metric, wanted):
        return UNWANTED
    return series


@compiled
def _holds_needle(words: UInt64, begin: int, end: int, metric: int, wanted: Wanted) -> bool:
    """Whether the labels hold a value that the metric must have somewhere; where it need not, they do."""
    first, stop = wanted.first_needle[metric], wanted.first_needle[metric + 1]
    if first == stop or end > len(words):  # the second: there is no word from each byte on
        return True
    for needle in range(first, stop):
        text, length = wanted.needles[needle, 0], wanted.needles[needle, 1] - wanted.needles[needle, 0]
        unused = np.uint64(8 * (8 - min(length, 8)))
        head = wanted.text[text] << unused
        for at in range(begin, end - length + 1):
            if words[at] << unused == head and (length <= 8 or same(words, at, wanted.text, text, length)):
                return True
    return False


@compiled
def _note(found: Found, number: int, series: int, time_ms: int, value: np.uint64, begin: int, end: int) -> None:
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
