"""The loop over a version 2 request's bytes: where its series are, which of them are kept, what they say. Compiled.

In: a decoded body, the wanted metric names, the known series. Out: in `Found`. Raises nothing. Costs some 0.07 µs for
an unwanted series, 0.15 µs for a known one that comes in the usual order, else 0.3 µs.

Nearly every series of nearly every sender has this shape; a reference counts the symbols of its request:

    22 n SYMBOL …   2a L { 0a l { NAME-REF VALUE-REF … } SAMPLE [2a n METADATA] } …

A reference means something only within its request. So the labels of a wanted series are written as version 1 encodes
them, and looked up by that; both versions know a series by the same bytes. Behind a series that is known, the one
that followed it last time is looked for first, by its symbols.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from receiver.columns import Int64
from receiver.compiled import compiled
from receiver.wire.fields import (
    FIELD_1,
    FIELD_2,
    FIELD_4,
    FIELD_5,
    UNUSUAL,
    Found,
    Wanted,
    entry_of,
    note,
    sample,
    varint,
)
from receiver.wire.lookup import UNKNOWN, WORD_BYTES, Table, UInt8, UInt64, find, same

_NAME = np.uint64(int.from_bytes(b"__name__", "little"))


class Symbols(NamedTuple):
    """Of a version 2 request, filled by its scan. For S symbols and N series."""

    symbol: Int64  # [S, 2] begin and end
    metric: Int64  # [S] number of the metric that it names, or UNKNOWN
    series: Int64  # [N, 2] begin and end
    labels: UInt8  # room for one series' labels as version 1 has them
    label_words: UInt64  # the same


@compiled
def count(body: UInt8) -> tuple[int, int]:
    """How many symbols and series a version 2 request has; -1 twice where it has anything else."""
    symbols = series = at = 0
    while at < len(body):
        length, begin = varint(body, at + 1, len(body))
        if not 0 <= length <= len(body) - begin:
            return -1, -1
        if body[at] == FIELD_4:
            symbols += 1
        elif body[at] == FIELD_5:
            series += 1
        else:
            return -1, -1
        at = begin + length
    return symbols, series


@compiled
def scan(body: UInt8, words: UInt64, wanted: Wanted, known: Table, found: Found, symbols: Symbols) -> None:
    """Go through a body that `count` has counted."""
    _open(body, words, wanted, symbols)
    before, follows = 0, False
    for number in range(len(found.spelling)):
        begin, end = symbols.series[number, 0], symbols.series[number, 1]
        metric, refs_begin, refs_end = _references(body, words, begin, end, symbols)
        sample_end, time_ms, value = sample(body, words, refs_end, end)
        if 0 < sample_end < end and body[sample_end] == FIELD_5:  # metadata
            length, after = varint(body, sample_end + 1, end)
            sample_end = after + length if 0 <= length <= end - after else -1
        series = UNUSUAL
        if sample_end == end:
            expected = int(known.following[before])
            if follows and _is_key(body, words, refs_begin, refs_end, symbols, known, expected):
                series = expected
            else:
                labels_end = WORD_BYTES if metric < 0 else _as_v1(body, words, refs_begin, refs_end, symbols)
                if labels_end > 0:
                    series = entry_of(symbols.label_words, WORD_BYTES, labels_end, metric, wanted, known, before)
        follows = series >= 0
        if follows:
            before, series = series, int(known.entries[series, 3])
        note(found, number, series, time_ms, value, begin, end)


@compiled
def _open(body: UInt8, words: UInt64, wanted: Wanted, symbols: Symbols) -> None:
    """Note where symbols and series are, and which symbols name a metric."""
    symbol = series = at = 0
    while at < len(body):
        length, begin = varint(body, at + 1, len(body))
        if body[at] == FIELD_4:
            symbols.symbol[symbol, 0], symbols.symbol[symbol, 1] = begin, begin + length
            symbols.metric[symbol] = UNUSUAL  # too near to the body's begin to be looked up
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
    if begin == end or body[begin] != FIELD_1:
        return UNKNOWN, begin, -1
    length, first = varint(body, begin + 1, end)
    if not 0 < length <= end - first:
        return UNKNOWN, begin, -1
    label, at = varint(body, first, first + length)
    if not 0 <= label < len(symbols.symbol):
        return UNKNOWN, begin, -1
    name, _ = varint(body, at, first + length)
    if not 0 <= name < len(symbols.symbol) or symbols.metric[name] == UNUSUAL:
        return UNKNOWN, begin, -1
    label_begin, label_end = symbols.symbol[label, 0], symbols.symbol[label, 1]
    if label_end - label_begin != 8 or words[label_begin] != _NAME:
        return UNKNOWN, begin, -1
    return symbols.metric[name], first, first + length


@compiled
def _is_key(body: UInt8, words: UInt64, begin: int, end: int, symbols: Symbols, known: Table, entry: int) -> bool:
    """Whether the labels are those of an entry, without writing them; False also where a length has two bytes."""
    at, key, stop = begin, known.entries[entry, 1], known.entries[entry, 2]
    while at < end:
        name, at = varint(body, at, end)
        value, at = varint(body, at, end)
        if not (0 <= name < len(symbols.symbol) and 0 <= value < len(symbols.symbol)):
            return False
        name_begin, name_end = symbols.symbol[name, 0], symbols.symbol[name, 1]
        value_begin, value_end = symbols.symbol[value, 0], symbols.symbol[value, 1]
        name_length, value_length = name_end - name_begin, value_end - value_begin
        length = 4 + name_length + value_length  # 0a n NAME 12 n VALUE
        if name_length == 0 or value_length == 0 or length >= 0x80 or length + 2 > stop - key:
            return False
        if name_end < WORD_BYTES or value_end < WORD_BYTES:
            return False
        # Read backwards: there are eight bytes before every key, but not behind the last.
        head = np.int64(known.keys[key + 4 - WORD_BYTES] >> np.uint64(32))
        if head != FIELD_1 | length << 8 | FIELD_1 << 16 | name_length << 24:
            return False
        middle = key + 4 + name_length
        head = np.int64(known.keys[middle + 2 - WORD_BYTES] >> np.uint64(48))
        if head != FIELD_2 | value_length << 8:
            return False
        if not same(words, name_begin, known.keys, key + 4, name_length):
            return False
        if not same(words, value_begin, known.keys, middle + 2, value_length):
            return False
        key += 2 + length
    return bool(key == stop)


@compiled
def _as_v1(body: UInt8, words: UInt64, begin: int, end: int, symbols: Symbols) -> int:
    """Write the labels as version 1 has them; where they end, or -1 where they are unusual."""
    at, out = begin, WORD_BYTES
    while at < end:
        name, at = varint(body, at, end)
        if not 0 <= name < len(symbols.symbol):
            return -1
        value, at = varint(body, at, end)
        if not 0 <= value < len(symbols.symbol):
            return -1
        name_length = symbols.symbol[name, 1] - symbols.symbol[name, 0]
        value_length = symbols.symbol[value, 1] - symbols.symbol[value, 0]
        length = 1 + _size(name_length) + name_length
        if value_length > 0:  # an empty one is left out
            length += 1 + _size(value_length) + value_length
        if name_length == 0 or out + length + 2 * WORD_BYTES > len(symbols.labels):
            return -1
        out = _put_length(symbols.labels, out, FIELD_1, length)
        out = _put_text(symbols, out, FIELD_1, body, words, name)
        if value_length > 0:
            out = _put_text(symbols, out, FIELD_2, body, words, value)
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
