"""WriteRequest (1.0) → kept samples, without parsing what is not kept.

In: a decoded body. Out: samples and counts in the collector, arrays fresh. Raises `DecodeError`. Costs some 0.1 µs
for an unwanted series and 0.2 µs for a known one; the rest goes to `whole`, at some 5 µs.

Nearly every series of nearly every sender is `labels…, one sample`, `__name__` first:

    TimeSeries { repeated Label labels = 1; repeated Sample samples = 2; exemplars = 3; histograms = 4 }
    0a L 0a 08 "__name__" 12 N name …more labels…  12 10 09 value:8 10 timestamp:6     one sample
                                                   12 07 10 timestamp:6                one sample of value 0

Series of that shape are told apart in a few numpy passes over all of them at once: a hash of the metric name's end
says "surely unwanted" or "perhaps wanted". What is perhaps wanted is looked up by the bytes before its sample. Those
were parsed in full when they were first met, so that equal bytes mean a whole number of valid labels, and what
follows them is exactly the sample. Everything else is parsed in full.

Of an unwanted series this checks the framing of the request, its name, and, where it does not end in a sample,
all the rest, histograms included. A timestamp in milliseconds takes six bytes from 1971 to 2109; of several samples
of an unwanted series those with others may go uncounted.
"""

from __future__ import annotations

import numpy as np
from google.protobuf.message import DecodeError as ProtobufDecodeError
from numpy.typing import NDArray

from receiver.catalogue import Catalogue
from receiver.columns import Bool, Int64
from receiver.series import UNKNOWN, UNWANTED, SeriesTable
from receiver.wire import whole
from receiver.wire.batch import Collector
from receiver.wire.framing import MARGIN_BYTES, Framing, UInt64, frame, parsed, words_of
from receiver.wire.needles import needles
from receiver.wire.remote_write_v1_pb2 import TimeSeries

_SAMPLE_BYTES = 18
_ZERO_SAMPLE_BYTES = 9
_NAME_PREFIX = b"\x0a\x08__name__\x12"
_FIRST_NAME_BYTE = 14

# Six-byte varint: five continuation bits, then none. Little-endian, with the two bytes before it.
_TIMESTAMP_MASK = np.uint64(int.from_bytes(bytes.fromhex("00ff808080808080"), "little"))
_TIMESTAMP_FORM = np.uint64(int.from_bytes(bytes.fromhex("0010808080808000"), "little"))
_ZERO_MASK = np.uint64(int.from_bytes(bytes.fromhex("ffff808080808080"), "little"))
_ZERO_FORM = np.uint64(int.from_bytes(bytes.fromhex("0710808080808000"), "little"))
_SAMPLE_HEAD = np.uint32(0x091012)
_ZERO_SAMPLE_HEAD = np.uint32(0x100712)
_THREE_BYTES = np.uint32(0xFFFFFF)

_FILTER_BITS = 12
# Two odd numbers whose bits are well mixed.
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_SILVER = np.uint64(0xC2B2AE3D27D4EB4F)


class NameFilter:
    """Which metric names are surely unwanted, by a hash of their ends; made once per catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.maybe: Bool = np.zeros(1 << _FILTER_BITS, np.bool_)
        for name in catalogue.terms_of_metric:
            encoded = name.encode()
            tail = bytes([0x0A, 12 + len(encoded) & 0x7F]) + _NAME_PREFIX + bytes([len(encoded) & 0x7F]) + encoded
            end, size = np.array([len(tail)]), np.array([len(encoded)], np.uint64)
            self.maybe[_hashed(words_of(tail), end, size)] = True
        self.wanted = frozenset(name.encode() for name in catalogue.terms_of_metric)
        self.needles = needles(catalogue)

    def rules_out(self, name: bytes, series: bytes) -> bool:
        """Whether a series' name, or what its bytes lack, says that it is not wanted."""
        if name not in self.wanted:
            return True
        if name not in self.needles:
            return False
        for value in self.needles[name]:  # noqa: SIM110 - all() costs three times as much
            if value in series:
                return False
        return True


def _hashed(words: UInt64, name_end: Int64, name_bytes: UInt64) -> UInt64:
    """A hash of each name's length and last 14 bytes, and of what stands before it where it is shorter."""
    mixed = (words[name_end - 8] + name_bytes) * _GOLDEN ^ words[name_end - 14] * _SILVER
    return mixed >> np.uint64(64 - _FILTER_BITS)


def decode(body: bytes, table: SeriesTable, names: NameFilter, out: Collector) -> None:
    """Collect the samples of a version 1 request."""
    framing = frame(body)
    if not len(framing.start):
        return
    shape = _Shape(framing, names)
    candidates = np.flatnonzero(shape.regular & shape.maybe_wanted)
    data = framing.data
    cuts = zip(framing.start[candidates].tolist(), shape.labels_end[candidates].tolist(), strict=True)
    ids = table.v1.find([data[start:end] for start, end in cuts])
    at = candidates[ids >= 0]
    if len(at):
        out.keep(ids[ids >= 0], *shape.samples(at), lambda i: _shown(framing.series(at[i])))
    out.samples += int(np.count_nonzero(shape.regular)) - len(candidates) + int(np.count_nonzero(ids == UNWANTED))
    for i in candidates[ids == UNKNOWN].tolist():
        one = framing.series(i)
        name = one[_FIRST_NAME_BYTE : _FIRST_NAME_BYTE + one[_FIRST_NAME_BYTE - 1]]
        if names.rules_out(name, one):
            out.samples += 1
        else:
            _take_whole(i, one, table, out, remember=True)
    for i in np.flatnonzero(~shape.regular).tolist():
        _take_whole(i, framing.series(i), table, out, remember=False)


def decode_whole(body: bytes, table: SeriesTable, out: Collector) -> None:
    """The reference: the same as `decode`, by parsing every series in full."""
    framing = parsed(body)
    for i in range(len(framing.start)):
        _take_whole(i, framing.series(i), table, out, remember=False)


class _Shape:
    """What numpy can see of all the series at once: their outline, not their labels."""

    def __init__(self, framing: Framing, names: NameFilter) -> None:
        self.words, octets = words_of(framing.data), framing.octets
        heads: NDArray[np.uint32] = np.ndarray((len(self.words),), "<u4", framing.data, strides=(1,))
        start, self.end = framing.start, framing.end

        self.tail = self.words[self.end - 8]
        full = (self.tail & _TIMESTAMP_MASK) == _TIMESTAMP_FORM
        full &= (heads[self.end - 18] & _THREE_BYTES) == _SAMPLE_HEAD
        zero = (self.tail & _ZERO_MASK) == _ZERO_FORM
        zero &= octets[self.end - 9] == 0x12
        self.sample_bytes = np.where(full, _SAMPLE_BYTES, _ZERO_SAMPLE_BYTES)
        self.labels_end = self.end - self.sample_bytes
        several = (heads[self.labels_end - _SAMPLE_BYTES] & _THREE_BYTES) == _SAMPLE_HEAD
        several |= (heads[self.labels_end - _ZERO_SAMPLE_BYTES] & _THREE_BYTES) == _ZERO_SAMPLE_HEAD

        first_label = octets[start + 1].astype(np.int64)
        name_bytes = octets[start + 13].astype(np.int64)
        named = self.words[start + 2] == np.frombuffer(_NAME_PREFIX[:8], "<u8")[0]
        named &= (heads[start + 10] & _THREE_BYTES) == int.from_bytes(_NAME_PREFIX[8:], "little")
        named &= (octets[start] == 0x0A) & (first_label == name_bytes + 12)
        named &= (name_bytes > 0) & (name_bytes < 0x80 - 12)
        named &= self.labels_end >= start + _FIRST_NAME_BYTE + name_bytes
        self.regular: Bool = named & (full ^ zero) & ~several
        name_end = np.where(named, start + _FIRST_NAME_BYTE + name_bytes, MARGIN_BYTES)
        self.maybe_wanted: Bool = names.maybe[_hashed(self.words, name_end, name_bytes.astype(np.uint64))]

    def samples(self, at: Int64) -> tuple[Int64, NDArray[np.float64]]:
        """Times and values of the series at these indices, which are regular."""
        end = self.end[at]
        word = self.tail[at]
        time_ms = np.zeros(len(at), np.uint64)
        for place in range(6):
            seven_bits = (word >> np.uint64(16 + 8 * place)) & np.uint64(0x7F)
            time_ms |= seven_bits << np.uint64(7 * place)
        bits = np.where(self.sample_bytes[at] == _SAMPLE_BYTES, self.words[end - 15], np.uint64(0))
        return time_ms.astype(np.int64), bits.view(np.float64)


def _take_whole(index: int, one: bytes, table: SeriesTable, out: Collector, *, remember: bool) -> None:
    try:
        series = TimeSeries.FromString(one)
    except ProtobufDecodeError as error:
        out.refuse("malformed", f"series number {index}: not a TimeSeries message: {error}")
        return
    series_id = whole.take(series, _labels(series), table, out)
    if remember and series_id is not None:
        label_bytes = TimeSeries(labels=series.labels).SerializeToString()
        if one.startswith(label_bytes):
            table.v1.add(label_bytes, series_id, len(table))


def _labels(series: TimeSeries) -> list[tuple[str, str]]:
    return [(label.name, label.value) for label in series.labels]


def _shown(one: bytes) -> str:
    return whole.shown(_labels(TimeSeries.FromString(one)))
