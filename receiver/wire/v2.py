"""Request (2.0) → kept samples, without parsing what is not kept.

In: a decoded body. Out: samples and counts in the collector, arrays fresh. Raises `DecodeError`. Costs some 0.1 µs
for an unwanted series and 0.3 µs for a known one; the rest goes to `whole`, at some 5 µs.

    TimeSeries { repeated uint32 labels_refs = 1; Sample[] = 2; Histogram[] = 3; Exemplar[] = 4; Metadata = 5 }
    0a L name value name value …   12 S 09 value:8 10 timestamp:6 [18 start]   [2a M metadata]

Nearly every series has that shape, and its outline is walked for all of them at once, in numpy. A reference means
something only within its request: the symbols of a wanted series become ids that last, and the ids in order are
the series' key. Everything else is parsed in full.

Of an unwanted series this checks the framing, the name, and, where its shape is another, all the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from google.protobuf.message import DecodeError as ProtobufDecodeError
from numpy.typing import NDArray

from receiver.catalogue import Catalogue
from receiver.columns import Bool, Int32, Int64
from receiver.errors import DecodeError
from receiver.series import UNKNOWN, UNWANTED, Aliases, SeriesTable
from receiver.wire import whole
from receiver.wire.batch import Collector
from receiver.wire.envelope_pb2 import RequestV2
from receiver.wire.framing import UInt64, check_count, words_of
from receiver.wire.needles import needles
from receiver.wire.remote_write_v2_pb2 import TimeSeries

# The longest regular series: 127 bytes of references, a sample with a start time, its metadata.
_MARGIN_BYTES = 320
# Symbols of wanted series remembered, ~150 bytes each. Beyond it all are forgotten and learnt again.
_MAX_SYMBOLS = 1_000_000

# What a symbol may be: bits.
_IS_NAME_LABEL, _IS_WANTED, _NEEDS_NEEDLE, _IS_NEEDLE = np.array([1, 2, 4, 8], np.uint8)

_TIMESTAMP_MASK = np.uint64(int.from_bytes(bytes.fromhex("ff80808080808000"), "little"))
_TIMESTAMP_FORM = np.uint64(int.from_bytes(bytes.fromhex("1080808080800000"), "little"))
_START_FORM = np.uint64(int.from_bytes(bytes.fromhex("1880808080800000"), "little"))


class Symbols:
    """Symbols of wanted series, numbered for good, and what a catalogue makes of a symbol; one per catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._numbers: dict[bytes, int] = {}
        self._roles: dict[bytes, int] = {b"__name__": _IS_NAME_LABEL}
        asked = needles(catalogue)
        for metric in catalogue.terms_of_metric:
            name = metric.encode()
            self._roles[name] = self._roles.get(name, 0) | _IS_WANTED | (_NEEDS_NEEDLE if name in asked else 0)
        for value in (value for values in asked.values() for value in values):
            self._roles[value] = self._roles.get(value, 0) | _IS_NEEDLE

    def roles(self, symbols: list[bytes]) -> NDArray[np.uint8]:
        """What each symbol may be, as bits."""
        get = self._roles.get
        return np.array([get(symbol, 0) for symbol in symbols], np.uint8)

    def numbers(self, symbols: list[bytes], table: SeriesTable) -> Int32:
        """The lasting number of each symbol."""
        if len(self._numbers) > _MAX_SYMBOLS:
            self._numbers.clear()
            table.v2 = Aliases()
        numbers = self._numbers
        return np.array([numbers.setdefault(symbol, len(numbers)) for symbol in symbols], np.int32)


def decode(body: bytes, table: SeriesTable, lasting: Symbols, out: Collector) -> None:
    """Collect the samples of a version 2 request."""
    symbols, series = _open(body)
    if not series:
        return
    if not symbols:
        symbols = [b""]
    shape = _Shape(series)
    roles = lasting.roles(symbols)
    regular = shape.regular & (shape.first_ref < len(symbols)) & (shape.second_ref < len(symbols))
    # Symbol 0 is "", which is no name, and is there in any case.
    regular &= (roles[shape.first_ref * regular] & _IS_NAME_LABEL > 0) & (shape.second_ref > 0)
    name_roles = roles[shape.second_ref * regular]
    candidates = np.flatnonzero(regular & (name_roles & _IS_WANTED > 0))
    out.samples += int(np.count_nonzero(regular)) - len(candidates)
    if len(candidates):
        _take_candidates(candidates, name_roles, roles, shape, series, symbols, table, lasting, out)
    for i in np.flatnonzero(~regular).tolist():
        _take_whole(i, series[i], symbols, table, out)


def decode_whole(body: bytes, table: SeriesTable, out: Collector) -> None:
    """The reference: the same as `decode`, by parsing every series in full."""
    symbols, series = _open(body)
    for i, one in enumerate(series):
        _take_whole(i, one, symbols, table, out)


def _open(body: bytes) -> tuple[list[bytes], list[bytes]]:
    try:
        request = RequestV2.FromString(body)
    except ProtobufDecodeError as error:
        raise DecodeError(f"the body is not an io.prometheus.write.v2.Request: {error}") from error
    check_count(len(request.timeseries))
    symbols: list[bytes] = list(request.symbols)
    if symbols and symbols[0]:
        raise DecodeError('the first symbol of the request is not ""')
    return symbols, list(request.timeseries)


def _take_candidates(
    candidates: Int64,
    name_roles: NDArray[np.uint8],
    roles: NDArray[np.uint8],
    shape: _Shape,
    series: list[bytes],
    symbols: list[bytes],
    table: SeriesTable,
    lasting: Symbols,
    out: Collector,
) -> None:
    """Series of wanted metrics, `candidates` of all: by their key where it is known, else in full."""
    refs, first, count, whole_numbers = _references(candidates, shape, series)
    fine = whole_numbers & (np.maximum.reduceat(refs, first) < len(symbols)) & (count % 2 == 0)
    refs = np.minimum(refs, len(symbols) - 1)

    has_needle = np.bitwise_or.reduceat(roles[refs], first) & _IS_NEEDLE > 0
    ruled_out = fine & (name_roles[candidates] & _NEEDS_NEEDLE > 0) & ~has_needle
    out.samples += int(np.count_nonzero(ruled_out))

    used = np.zeros(len(symbols), np.bool_)
    used[refs] = True
    number = np.zeros(len(symbols), np.int32)
    number[used] = lasting.numbers([symbols[i] for i in np.flatnonzero(used).tolist()], table)
    keys = number[refs].tobytes()
    begin, end = first * 4, (first + count) * 4
    look = np.flatnonzero(fine & ~ruled_out)
    spans = zip(begin[look].tolist(), end[look].tolist(), strict=True)
    ids = table.v2.find([keys[start:stop] for start, stop in spans])
    at = candidates[look[ids >= 0]]
    if len(at):
        out.keep(ids[ids >= 0], *shape.samples(at), lambda i: _shown(series[at[i]], symbols))
    out.samples += int(np.count_nonzero(ids == UNWANTED))
    for place in look[ids == UNKNOWN].tolist():
        i = int(candidates[place])
        series_id = _take_whole(i, series[i], symbols, table, out)
        if series_id is not None:
            table.v2.add(keys[begin[place] : end[place]], series_id, len(table))
    for i in candidates[~fine].tolist():
        _take_whole(i, series[i], symbols, table, out)


def _references(candidates: Int64, shape: _Shape, series: list[bytes]) -> tuple[Int64, Int64, Int64, Bool]:
    """All references of these series in one array, where each one's begin, how many, and whether they are whole."""
    length = shape.refs_bytes[candidates]
    stop = (length + 2).tolist()
    octets = np.frombuffer(
        b"".join([series[i][2:j] for i, j in zip(candidates.tolist(), stop, strict=True)]), np.uint8
    ).astype(np.int64)
    bytes_end = np.cumsum(length)
    last = octets < 0x80
    ends = np.flatnonzero(last)
    size = np.diff(ends, prepend=-1)
    refs = octets[ends]
    for back in (1, 2):
        more = size > back
        refs[more] = (refs[more] << 7) | (octets[ends[more] - back] & 0x7F)
    count = np.add.reduceat(last, bytes_end - length, dtype=np.int64)
    first = np.cumsum(count) - count
    # A series whose last byte asks for another, or with a reference over three bytes, is not taken this way.
    whole_numbers = last[bytes_end - 1] & (np.maximum.reduceat(size, np.minimum(first, len(size) - 1)) <= 3)
    return refs, first, count, whole_numbers


class _Shape:
    """What numpy can see of all the series at once: their outline, not their labels."""

    def __init__(self, series: list[bytes]) -> None:
        joined = b"".join((*series, bytes(_MARGIN_BYTES)))
        self.words = words_of(joined)
        octets = np.frombuffer(joined, np.uint8)
        length = np.fromiter(map(len, series), np.int64, len(series))
        end = np.cumsum(length)
        start = end - length

        self.refs_bytes: Int64 = octets[start + 1].astype(np.int64)
        regular = (octets[start] == 0x0A) & (self.refs_bytes < 0x80)
        self.first_ref, first_bytes = _varint(self.words[start + 2])
        self.second_ref, second_bytes = _varint(self.words[start + 2 + first_bytes])
        regular &= (first_bytes > 0) & (second_bytes > 0) & (self.refs_bytes >= first_bytes + second_bytes)

        sample = start + 2 + self.refs_bytes
        size = octets[sample + 1].astype(np.int64)
        self.has_value: Bool = (size == 16) | (size == 23)
        has_start = (size == 14) | (size == 23)
        self.value_at: Int64 = sample + 3
        self.time_at: Int64 = sample + 2 + 9 * self.has_value
        regular &= (octets[sample] == 0x12) & (self.has_value | has_start | (size == 7))
        regular &= ~self.has_value | (octets[sample + 2] == 0x09)
        regular &= (self.words[self.time_at] & _TIMESTAMP_MASK) == _TIMESTAMP_FORM
        if has_start.any():
            regular &= ~has_start | ((self.words[self.time_at + 7] & _TIMESTAMP_MASK) == _START_FORM)

        rest = sample + 2 + size
        metadata_bytes = octets[rest + 1].astype(np.int64)
        metadata = (octets[rest] == 0x2A) & (metadata_bytes < 0x80) & (rest + 2 + metadata_bytes == end)
        self.regular: Bool = regular & ((rest == end) | metadata)

    def samples(self, at: Int64) -> tuple[Int64, NDArray[np.float64]]:
        """Times and values of the series at these indices, which are regular."""
        word = self.words[self.time_at[at]]
        time_ms = np.zeros(len(at), np.uint64)
        for place in range(6):
            time_ms |= ((word >> np.uint64(8 + 8 * place)) & np.uint64(0x7F)) << np.uint64(7 * place)
        bits = np.where(self.has_value[at], self.words[self.value_at[at]], np.uint64(0))
        return time_ms.astype(np.int64), bits.view(np.float64)


def _varint(word: UInt64) -> tuple[Int64, Int64]:
    """Value and size of the varint of one or two bytes that begins each word; size 0 where it is longer."""
    small = (word & np.uint64(0x80)) == 0
    size = np.where(small, 1, np.where((word & np.uint64(0x8000)) == 0, 2, 0))
    value = np.where(
        small, word & np.uint64(0x7F), (word & np.uint64(0x7F)) | ((word >> np.uint64(1)) & np.uint64(0x3F80))
    )
    return value.astype(np.int64), size


def _take_whole(index: int, one: bytes, symbols: list[bytes], table: SeriesTable, out: Collector) -> int | None:
    try:
        series = TimeSeries.FromString(one)
        labels = _labels(series.labels_refs, symbols)
        for exemplar in series.exemplars:
            _labels(exemplar.labels_refs, symbols)
    except (ProtobufDecodeError, ValueError) as error:
        out.refuse("malformed", f"series number {index}: {error}")
        return None
    if series.samples and series.histograms:
        out.refuse("malformed", f"series {whole.shown(labels)}: both samples and histograms")
        return None
    return whole.take(series, labels, table, out)


def _labels(refs: Sequence[int], symbols: list[bytes]) -> list[tuple[str, str]]:
    """Names and values; ValueError says what is wrong with the references or the text."""
    if len(refs) % 2:
        raise ValueError(f"{len(refs)} label references; names and values come in pairs")
    largest = max(refs, default=0)
    if refs and largest >= len(symbols):
        raise ValueError(f"label reference {largest}; the request has {len(symbols)} symbols")
    texts = [symbols[ref].decode() for ref in refs]
    return list(zip(texts[::2], texts[1::2], strict=True))


def _shown(one: bytes, symbols: list[bytes]) -> str:
    return whole.shown(_labels(TimeSeries.FromString(one).labels_refs, symbols))
