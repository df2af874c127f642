"""Request (2.0) → kept samples, without parsing what is not kept.

In: a decoded body. Out: samples and counts in the collector, arrays fresh. Raises `DecodeError`. Costs what the
scan costs, and some 5 µs for each series that it sets aside.

A reference means something only within its request, so a wanted series is looked up by its labels as version 1
encodes them; both versions know a series by the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial

import numpy as np
from google.protobuf.message import DecodeError as ProtobufDecodeError

from receiver.errors import DecodeError
from receiver.settings import MAX_DECODED_BYTES, MAX_SYMBOLS_PER_REQUEST
from receiver.wire import scan_v2
from receiver.wire.batch import Collector
from receiver.wire.envelope_pb2 import RequestV2
from receiver.wire.findings import Labels, check_series, collect, room, take_all
from receiver.wire.known import KnownSeries
from receiver.wire.lookup import words_of
from receiver.wire.remote_write_v2_pb2 import TimeSeries

# Of a label's name or value in version 1: its tag and length, and half of the label's own.
_TEXT_FRAME_BYTES = 3


def decode(body: bytes, known: KnownSeries, out: Collector) -> None:
    """Collect the samples of a version 2 request."""
    symbol_count, count = scan_v2.count(np.frombuffer(body, np.uint8))
    if count < 0:  # what only protobuf can read
        request = _open(body)
        symbol_count, count, body = len(request.symbols), len(request.timeseries), request.SerializeToString()
    found = room(count)
    _check_symbols(symbol_count)
    symbols = scan_v2.Symbols(
        symbol=np.empty((symbol_count, 2), np.int64),
        metric=np.empty(symbol_count, np.int64),
        series=np.empty((count, 2), np.int64),
        labels=known.label_room,
        label_words=words_of(known.label_room),
    )
    scan_v2.scan(np.frombuffer(body, np.uint8), words_of(body), known.wanted, known.keys.table, found, symbols)

    @cache  # they are seldom asked for
    def texts() -> list[bytes]:
        return [body[begin:end] for begin, end in symbols.symbol.tolist()]

    if symbol_count and symbols.symbol[0, 0] != symbols.symbol[0, 1]:
        raise DecodeError('the first symbol of the request is not ""')
    collect(found, body, partial(_parse, _Symbols(texts)), known, out)


def decode_whole(body: bytes, known: KnownSeries, out: Collector) -> None:
    """The reference: the same as `decode`, by parsing every series in full."""
    request = _open(body)
    symbols = list(request.symbols)
    if symbols and symbols[0]:
        raise DecodeError('the first symbol of the request is not ""')
    take_all(
        ((number, one, False) for number, one in enumerate(request.timeseries)),
        partial(_parse, _Symbols(lambda: symbols)),
        known,
        out,
    )


def _open(body: bytes) -> RequestV2:
    try:
        request = RequestV2.FromString(body)
    except ProtobufDecodeError as error:
        raise DecodeError(f"the body is not an io.prometheus.write.v2.Request: {error}") from error
    check_series(len(request.timeseries))
    _check_symbols(len(request.symbols))
    return RequestV2(symbols=request.symbols, timeseries=request.timeseries)


def _check_symbols(symbols: int) -> None:
    if symbols > MAX_SYMBOLS_PER_REQUEST:
        raise DecodeError(f"the request has {symbols} symbols; the limit is {MAX_SYMBOLS_PER_REQUEST}")


def _parse(symbols: _Symbols, one: bytes) -> tuple[TimeSeries, Labels]:
    series = TimeSeries.FromString(one)
    labels = symbols.labels(series.labels_refs)
    of_exemplars: list[int] = []
    for exemplar in series.exemplars:
        of_exemplars += exemplar.labels_refs
        if len(of_exemplars) % 2:
            break
    symbols.labels(of_exemplars)
    if series.samples and series.histograms:
        raise ValueError("both samples and histograms")
    return series, labels


class _Symbols:
    """The texts of a request. A reference has one byte and may stand for megabytes, as often as there are references.

    So the labels that are written out have as many bytes together as a version 1 request may have, and no more.
    """

    def __init__(self, texts: Callable[[], list[bytes]]) -> None:
        self._texts = texts
        self._left_bytes = MAX_DECODED_BYTES

    def labels(self, refs: Sequence[int]) -> Labels:
        """Names and values; ValueError says what is wrong with the references or the text. Raises `DecodeError`."""
        texts = self._texts()
        if len(refs) % 2:
            raise ValueError(f"{len(refs)} label references; names and values come in pairs")
        largest = max(refs, default=0)
        if refs and largest >= len(texts):
            raise ValueError(f"label reference {largest}; the request has {len(texts)} symbols")
        self._left_bytes -= sum(len(texts[ref]) + _TEXT_FRAME_BYTES for ref in refs)
        if self._left_bytes < 0:
            raise DecodeError(f"the labels of the request, written out, have over {MAX_DECODED_BYTES} bytes")
        written = [texts[ref].decode() for ref in refs]
        return list(zip(written[::2], written[1::2], strict=True))
