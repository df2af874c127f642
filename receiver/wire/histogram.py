"""Are the native histograms of a series consistent? The checks of Prometheus's `histogram.Validate`: compiled.

In: the message of a parsed series, of either version. Out: what is wrong with the first histogram that something is
wrong with, or "". Costs some µs and 10 ns for each histogram, span, bucket and bound: a series may have half a million.
As in Prometheus, counts are added up in 64 bits.

They are read from what protobuf writes (see `numbers`): in a histogram

    [08 COUNT] or [11 COUNT:8]  [19 SUM:8]  [20 SCHEMA]  [30 ZEROS]  SIDE, negative  SIDE, positive  [82 01 n BOUND:8 …]

and in each side, of fields 8, 9, 10 and 11, 12, 13

    { SPANS n [08 OFFSET] [10 LENGTH] }  [DELTAS n DELTA …]  [COUNTS n COUNT:8 …]
"""

from __future__ import annotations

import numpy as np

from receiver.columns import Int64
from receiver.compiled import compiled
from receiver.wire import remote_write_v1_pb2 as v1_pb2
from receiver.wire.fields import FIELD_3, FIELD_4, varint
from receiver.wire.lookup import WORD_BYTES, UInt8, UInt64, words_of
from receiver.wire.numbers import Series, written

# Exponential schemas that Prometheus knows, and its mark for custom bucket bounds.
MIN_SCHEMA, MAX_SCHEMA = -4, 52
CUSTOM_BUCKETS_SCHEMA = -53

# What can be wrong; where it is about a side, the negative one's is first and the positive one's follows.
_FAULTS = (
    "",
    "schema {0} is unknown",
    "custom bucket bounds do not rise",
    "custom buckets cannot be negative",
    "a negative span overlaps the one before it",
    "a positive span overlaps the one before it",
    "the negative spans do not cover its {0} buckets",
    "the positive spans do not cover its {0} buckets",
    "a negative bucket has a negative count",
    "a positive bucket has a negative count",
    "its count is negative",
    "its buckets add up to {0}, its count is {1}",
)
_FINE, _SCHEMA, _BOUNDS, _NEGATIVE_CUSTOM, _OVERLAP, _NOT_COVERED, _BELOW_ZERO = 0, 1, 2, 3, 4, 6, 8
_COUNT_BELOW_ZERO, _TOTAL = 10, 11

# Fields of a histogram, and how a field is encoded.
_COUNT, _COUNT_FLOAT, _SUM, _SCHEMA_FIELD, _ZEROS, _FIRST_SIDE, _SECOND_SIDE, _CUSTOM_VALUES = 1, 2, 3, 4, 6, 8, 11, 16
_VARINT, _EIGHT_BYTES = 0, 1
# What is found of a side.
_SPANS, _OVERLAPS, _COVERED, _DELTAS, _DELTAS_BELOW, _COUNTS, _COUNTS_BELOW = range(7)

_LARGEST = 2**63 - 1


def fault(series: Series) -> str:
    """What is wrong with a series' histograms, in a few words; "" where nothing is."""
    body = written(series)
    tag = FIELD_4 if isinstance(series, v1_pb2.TimeSeries) else FIELD_3
    sides = np.zeros((2, 7), np.int64)
    number, one, other = _first_fault(np.frombuffer(body, np.uint8), words_of(body), tag, sides)
    return _FAULTS[number].format(one, other)


@compiled
def _first_fault(body: UInt8, words: UInt64, tag: int, sides: Int64) -> tuple[int, int, int]:
    """The number of a text, and what stands in it."""
    at = 0
    while at < len(body):
        wanted = body[at] == tag
        length, begin = varint(body, at + 1, len(body))
        at = begin + length
        if wanted:
            found, one, other = _fault(body, words, begin, at, sides)
            if found != _FINE:
                return found, one, other
    return _FINE, 0, 0


@compiled
def _fault(body: UInt8, words: UInt64, at: int, end: int, sides: Int64) -> tuple[int, int, int]:
    """The same for one histogram."""
    sides[:] = 0
    count = schema = total = 0
    is_float = count_below = sum_unknown = False
    rising = True
    while at < end:
        tag, at = varint(body, at, end)
        field, encoding = tag >> 3, tag & 7
        if encoding == _VARINT:
            number, at = varint(body, at, end)
            if field == _COUNT:
                count = number
            elif field == _SCHEMA_FIELD:
                schema = _signed(number)
            elif field == _ZEROS:
                total += number
        elif encoding == _EIGHT_BYTES:
            if field == _COUNT_FLOAT:
                is_float, count_below = True, not _float(words[at]) >= 0
            elif field == _SUM:
                sum_unknown = np.isnan(_float(words[at]))
            at += WORD_BYTES
        else:
            length, at = varint(body, at, end)
            if field == _CUSTOM_VALUES:
                rising = _rise(words, at, at + length)
            else:
                total += _add(body, words, at, at + length, field, sides)
            at += length
    if schema == CUSTOM_BUCKETS_SCHEMA:
        if not rising:
            return _BOUNDS, 0, 0
        if sides[0, _SPANS] + sides[0, _DELTAS] + sides[0, _COUNTS] > 0:
            return _NEGATIVE_CUSTOM, 0, 0
    elif not MIN_SCHEMA <= schema <= MAX_SCHEMA:
        return _SCHEMA, schema, 0
    for side in range(2):
        buckets = sides[side, _COUNTS] if is_float else sides[side, _DELTAS]
        if sides[side, _OVERLAPS] > 0:
            return _OVERLAP + side, 0, 0
        if sides[side, _COVERED] != buckets:
            return _NOT_COVERED + side, buckets, 0
        if sides[side, _COUNTS_BELOW if is_float else _DELTAS_BELOW] > 0:
            return _BELOW_ZERO + side, 0, 0
    if is_float:
        return _COUNT_BELOW_ZERO if count_below else _FINE, 0, 0
    # Observations of NaN are in the count but in no bucket.
    if total == count or (sum_unknown and total < count):
        return _FINE, 0, 0
    return _TOTAL, total, count


@compiled
def _add(body: UInt8, words: UInt64, at: int, end: int, field: int, sides: Int64) -> int:
    """Add one span, all deltas or all counts to what is found of their side; the sum of the buckets of deltas."""
    total = 0
    side = 0 if field < _SECOND_SIDE else 1
    what = field - (_FIRST_SIDE if side == 0 else _SECOND_SIDE)
    if what == 0:
        while at < end:
            tag, at = varint(body, at, end)
            number, at = varint(body, at, end)
            if tag >> 3 == 1:
                sides[side, _OVERLAPS] += sides[side, _SPANS] > 0 and _signed(number) < 0
            else:
                sides[side, _COVERED] += number
        sides[side, _SPANS] += 1
    elif what == 1:
        bucket = 0
        while at < end:
            delta, at = varint(body, at, end)
            bucket += _signed(delta)
            sides[side, _DELTAS] += 1
            sides[side, _DELTAS_BELOW] += bucket < 0
            total += bucket
    else:
        for place in range(at, end, WORD_BYTES):
            sides[side, _COUNTS] += 1
            sides[side, _COUNTS_BELOW] += _float(words[place]) < 0
    return total


@compiled
def _rise(words: UInt64, begin: int, end: int) -> bool:
    for place in range(begin + WORD_BYTES, end, WORD_BYTES):
        if not _float(words[place - WORD_BYTES]) < _float(words[place]):
            return False
    return True


@compiled
def _signed(number: int) -> int:
    """What protobuf has made a number of that may be below zero."""
    return (number >> 1 & _LARGEST) ^ -(number & 1)


@compiled
def _float(bits: np.uint64) -> np.float64:
    return np.uint64(bits).view(np.float64)
