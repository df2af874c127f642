"""Requests for tests, built from the full messages, and hypothesis strategies of unusual ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import snappy
from hypothesis import strategies as st

from receiver import catalogue
from receiver.series import SeriesTable
from receiver.wire import Decoder
from receiver.wire import remote_write_v1_pb2 as v1_pb2
from receiver.wire import remote_write_v2_pb2 as v2_pb2

NOW_MS = 1_763_600_000_000
V1_HEADERS = {"content-type": "application/x-protobuf", "content-encoding": "snappy"}
V2_HEADERS = {
    "content-type": "application/x-protobuf;proto=io.prometheus.write.v2.Request",
    "content-encoding": "snappy",
}
HEADERS = {1: V1_HEADERS, 2: V2_HEADERS}
NODE = {"instance": "10.0.0.1:9100", "job": "node"}


@dataclass(frozen=True)
class Series:
    """What a test wants to send of one series."""

    labels: Sequence[tuple[str, str]]
    samples: Sequence[tuple[float, int]] = ((1.0, NOW_MS),)
    histogram_counts: Sequence[tuple[int, int]] = ()  # (bucket, count) of histograms of one bucket
    exemplars: int = 0
    metadata: bool = False


def series(name: str, value: float = 1.0, time_ms: int = NOW_MS, **labels: str) -> Series:
    """One sample of a node's series, its labels in the order that Prometheus has them."""
    return Series(sorted({"__name__": name, **NODE, **labels}.items()), [(value, time_ms)])


def v1_message(several: Sequence[Series]) -> bytes:
    request = v1_pb2.WriteRequest()
    for one in several:
        message = request.timeseries.add()
        for name, value in one.labels:
            message.labels.add(name=name, value=value)
        for number, time_ms in one.samples:
            message.samples.add(value=number, timestamp=time_ms)
        for bucket, count in one.histogram_counts:
            _fill(message.histograms.add(), bucket, count)
        for _ in range(one.exemplars):
            message.exemplars.add(value=1.0, timestamp=NOW_MS).labels.add(name="trace", value="t")
        if one.metadata:
            request.metadata.add(metric_family_name="m", help="h")
    return request.SerializeToString()


def v2_message(several: Sequence[Series]) -> bytes:
    request = v2_pb2.Request()
    symbols = {"": 0}
    for one in several:
        message = request.timeseries.add()
        for pair in one.labels:
            message.labels_refs.extend(symbols.setdefault(text, len(symbols)) for text in pair)
        for value, time_ms in one.samples:
            message.samples.add(value=value, timestamp=time_ms, start_timestamp=NOW_MS - 5 if one.metadata else 0)
        for bucket, count in one.histogram_counts:
            _fill(message.histograms.add(), bucket, count)
        for _ in range(one.exemplars):
            message.exemplars.add(value=1.0, timestamp=NOW_MS)
        if one.metadata:
            message.metadata.type = v2_pb2.Metadata.METRIC_TYPE_COUNTER
    request.symbols.extend(symbols)
    return request.SerializeToString()


def _fill(message: v1_pb2.Histogram | v2_pb2.Histogram, bucket: int, count: int) -> None:
    message.count_int = count
    message.timestamp = NOW_MS
    message.positive_spans.add(offset=0, length=1)
    message.positive_deltas.append(bucket)


MESSAGES = {1: v1_message, 2: v2_message}


def body(version: int, several: Sequence[Series]) -> bytes:
    """The request as it comes over the network."""
    return bytes(snappy.compress(MESSAGES[version](several)))


def decoder(max_series: int = 1000, max_nodes: int = 100) -> Decoder:
    """A decoder that knows nothing yet, for the 24 node features; samples may be as old as the tests'."""
    return Decoder(SeriesTable(catalogue.load(), max_series, max_nodes), max_sample_age_seconds=3600)


@dataclass
class Kept:
    """A batch in a form that can be compared: what was kept, and the account of the rest."""

    samples: list[tuple[int, int, int]]
    written: tuple[int, int, int]
    invalid: Mapping[str, int] = field(default_factory=dict)


_WANTED = ["node_load1", "node_cpu_seconds_total", "node_network_receive_bytes_total", "node_tcp_connection_states"]
_UNWANTED = ["up", "go_goroutines", "node_load1x", "xnode_load1", "node_memory_MemFree_bytes", "n" * 130]
_TEXTS = st.sampled_from(["", "idle", "user", "eth0", "lo", "established", "é", "__name__", "x" * 140, "node_load1"])
_NAMES = st.sampled_from(["mode", "device", "state", "instance", "job", "node", "A", "zone", "__name__", ""])


@st.composite
def any_series(draw: st.DrawFn) -> Series:
    """From the most usual series to ones that no sender sends."""
    labels = {"__name__": draw(st.sampled_from(_WANTED + _UNWANTED)), "instance": "i", "mode": "idle", "device": "eth0"}
    pairs = sorted({**labels, "state": "established"}.items())
    if draw(st.booleans()):
        pairs += draw(st.lists(st.tuples(_NAMES, _TEXTS), max_size=3))
    if draw(st.booleans()):
        pairs = draw(st.permutations(pairs))[: draw(st.integers(0, len(pairs)))]
    values = st.sampled_from([0.0, 1.0, -0.0, 1e308, float("inf"), float("nan"), 5e-324])
    times = st.sampled_from([NOW_MS, NOW_MS - 1, 0, -1, NOW_MS + 10**9, 2**62])
    usual = st.tuples(values, st.just(NOW_MS))
    return Series(
        labels=pairs,
        samples=draw(st.one_of(st.tuples(usual), st.lists(st.tuples(values, times), max_size=3))),
        histogram_counts=draw(st.one_of(st.just([]), st.lists(st.tuples(st.just(3), st.integers(2, 4)), max_size=2))),
        exemplars=draw(st.integers(0, 1)),
        metadata=draw(st.booleans()),
    )
