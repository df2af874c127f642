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
from receiver.settings import MAX_SYMBOLS_PER_REQUEST
from receiver.wire import scan_v2
from receiver.wire.batch import Collector
from receiver.wire.envelope_pb2 import RequestV2
from receiver.wire.findings import Labels, collect, room, take_all
from receiver.wire.known import KnownSeries
from receiver.wire.lookup import words_of
from receiver.wire.remote_write_v2_pb2 import TimeSeries


def decode(body: bytes, known: KnownSeries, out: Collector) -> None:
    """Collect the samples of a version 2 request."""
    symbol_count, count = scan_v2.count(np.frombuffer(body, np.uint8))
    if count < 0:  # what only protobuf can read
        request = _open(body)
        symbol_count, count, body = len(request.symbols), len(request.timeseries), request.SerializeToString()
    found = room(count)
    if symbol_count > MAX_SYMBOLS_PER_REQUEST:
        raise DecodeError(f"the request has {symbol_count} symbols; the limit is {MAX_SYMBOLS_PER_REQUEST}")
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
    collect(found, body, partial(_parse, texts), known, out)


def decode_whole(body: bytes, known: KnownSeries, out: Collector) -> None:
    """The reference: the same as `decode`, by parsing every series in full."""
    request = _open(body)
    symbols = list(request.symbols)
    if symbols and symbols[0]:
        raise DecodeError('the first symbol of the request is not ""')
    take_all(
        ((number, one, False) for number, one in enumerate(request.timeseries)),
        partial(_parse, lambda: symbols),
        known,
        out,
    )


def _open(body: bytes) -> RequestV2:
    try:
        request = RequestV2.FromString(body)
    except ProtobufDecodeError as error:
        raise DecodeError(f"the body is not an io.prometheus.write.v2.Request: {error}") from error
    return RequestV2(symbols=request.symbols, timeseries=request.timeseries)


def _parse(symbols: Callable[[], list[bytes]], one: bytes) -> tuple[TimeSeries, Labels]:
    series = TimeSeries.FromString(one)
    labels = _labels(series.labels_refs, symbols())
    for exemplar in series.exemplars:
        _labels(exemplar.labels_refs, symbols())
    if series.samples and series.histograms:
        raise ValueError("both samples and histograms")
    return series, labels


def _labels(refs: Sequence[int], symbols: list[bytes]) -> Labels:
    """Names and values; ValueError says what is wrong with the references or the text."""
    if len(refs) % 2:
        raise ValueError(f"{len(refs)} label references; names and values come in pairs")
    largest = max(refs, default=0)
    if refs and largest >= len(symbols):
        raise ValueError(f"label reference {largest}; the request has {len(symbols)} symbols")
    texts = [symbols[ref].decode() for ref in refs]
    return list(zip(texts[::2], texts[1::2], strict=True))
