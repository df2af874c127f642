"""What a scan has found → the collector: kept samples as they are, series that were set aside by a full parse.

In: the arrays that a scan filled, and a parser of one series of the request's version. Out: samples, counts and faults
in the collector; the labels of new series among the known ones. Raises `DecodeError` for a request of too many series.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from google.protobuf.message import DecodeError as ProtobufDecodeError

from receiver.errors import DecodeError
from receiver.settings import MAX_SERIES_PER_REQUEST
from receiver.wire import whole
from receiver.wire.batch import Collector
from receiver.wire.fields import Found
from receiver.wire.known import KnownSeries

Labels = list[tuple[str, str]]
# The message of one series → itself and its labels; raises protobuf's `DecodeError` or `ValueError`.
Parse = Callable[[bytes], tuple[whole.Series, Labels]]


def room(series: int) -> Found:
    """Arrays for a request of so many series."""
    if series > MAX_SERIES_PER_REQUEST:
        raise DecodeError(f"the request has {series} series; the limit is {MAX_SERIES_PER_REQUEST}")
    return Found(
        counts=np.zeros(3, np.int64),
        spelling=np.empty(series, np.int32),
        time_ms=np.empty(series, np.int64),
        value=np.empty(series, np.uint64),
        place=np.empty((series, 2), np.int64),
        aside=np.empty((series, 4), np.int64),
    )


def collect(found: Found, body: bytes, parse: Parse, known: KnownSeries, out: Collector) -> None:
    """Take all that a scan of `body` has found."""
    kept, aside, unwanted = found.counts.tolist()

    def show(index: int) -> str:
        begin, end = found.place[index].tolist()
        return whole.shown(parse(body[begin:end])[1])

    if kept:
        spelling = found.spelling[:kept]
        value = found.value[:kept].view(np.float64)
        out.keep(known.series[spelling], known.replica[spelling], found.time_ms[:kept], value, show)
    out.samples += unwanted
    for number, begin, end, learn in found.aside[:aside].tolist():
        taken = _take(number, body[begin:end], parse, known, out)
        if learn and taken is not None:
            known.learn(*taken)


def take_all(series: Sequence[bytes], parse: Parse, known: KnownSeries, out: Collector) -> None:
    """Parse every series in full."""
    for number, one in enumerate(series):
        _take(number, one, parse, known, out)


def _take(number: int, one: bytes, parse: Parse, known: KnownSeries, out: Collector) -> tuple[Labels, int, int] | None:
    """Labels, id and replica of one series; None where it is refused."""
    try:
        series, labels = parse(one)
    except (ProtobufDecodeError, ValueError) as error:
        out.refuse("malformed", f"series number {number}: {error}")
        return None
    taken = whole.take(series, labels, known, out)
    return None if taken is None else (labels, *taken)
