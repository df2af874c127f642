"""What a scan has found → the collector: kept samples as they are, series that were set aside by a full parse.

In: the arrays that a scan filled, and a parser of one series of the request's version. Out: samples, counts and faults
in the collector; the labels of new series among the known ones. Raises `DecodeError` for a request of too many series,
or of too many labels that must be parsed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from google.protobuf.message import DecodeError as ProtobufDecodeError

from receiver.columns import Float64, Int64
from receiver.errors import DecodeError
from receiver.series import UNWANTED
from receiver.settings import MAX_LABELS_PER_REQUEST, MAX_SERIES_BYTES, MAX_SERIES_PER_REQUEST
from receiver.wire import whole
from receiver.wire.batch import Collector
from receiver.wire.fields import Found
from receiver.wire.known import KnownSeries
from receiver.wire.numbers import Series, samples_of

# Parsed ones that are held, with the labels of their series, before they are judged together.
SAMPLES_AT_ONCE = 10_000

Labels = list[tuple[str, str]]
# Series, replica, times, values, and the labels for an error text.
Parsed = tuple[int, int, Int64, Float64, Labels]
# The message of one series → itself and its labels; raises protobuf's `DecodeError` or `ValueError`.
Parse = Callable[[bytes], tuple[Series, Labels]]


def check_series(series: int) -> None:
    """Refuse a request of too many series."""
    if series > MAX_SERIES_PER_REQUEST:
        raise DecodeError(f"the request has {series} series; the limit is {MAX_SERIES_PER_REQUEST}")


def room(series: int) -> Found:
    """Arrays for a request of so many series."""
    check_series(series)
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
    if aside:
        set_aside = found.aside[:aside].tolist()
        take_all(((number, body[begin:end], learn) for number, begin, end, learn in set_aside), parse, known, out)


def take_all(several: Iterable[tuple[int, bytes, int]], parse: Parse, known: KnownSeries, out: Collector) -> None:
    """Parse series in full: the number of each in its request, its message, and whether its labels are learnt."""
    held: list[Parsed] = []
    samples = 0
    labels_left = MAX_LABELS_PER_REQUEST
    for number, one, learn in several:
        if len(one) > MAX_SERIES_BYTES:
            out.refuse("malformed", f"series number {number}: {len(one)} bytes; the limit is {MAX_SERIES_BYTES}")
            continue
        try:
            series, labels = parse(one)
        except (ProtobufDecodeError, ValueError) as error:
            out.refuse("malformed", f"series number {number}: {error}")
            continue
        labels_left -= len(labels) + len(series.exemplars)
        if labels_left < 0:
            raise DecodeError(f"the request has over {MAX_LABELS_PER_REQUEST} labels and exemplars that must be parsed")
        taken = whole.take(series, labels, known, out)
        if taken is None:
            continue
        series_id, replica = taken
        if learn:
            known.learn(labels, series_id, replica)
        if series_id == UNWANTED:
            out.samples += len(series.samples)
            continue
        held.append((series_id, replica, *samples_of(series), labels))
        samples += len(series.samples)
        if len(held) >= SAMPLES_AT_ONCE or samples >= SAMPLES_AT_ONCE:
            _keep(held, out)
            held, samples = [], 0
    if held:
        _keep(held, out)


def _keep(held: Sequence[Parsed], out: Collector) -> None:
    ids, replicas, time_ms, value, labels = zip(*held, strict=True)
    samples = [len(times) for times in time_ms]
    ends = np.cumsum(samples)
    out.keep(
        np.repeat(np.array(ids, np.int32), samples),
        np.repeat(np.array(replicas, np.int32), samples),
        np.concatenate(time_ms),
        np.concatenate(value),
        lambda index: whole.shown(labels[np.searchsorted(ends, index, "right")]),
    )
