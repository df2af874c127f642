"""What one request may cost, whatever it is made of: a megabyte can unpack to what takes gigabytes to parse."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import snappy

from receiver.errors import DecodeError
from receiver.settings import MAX_DECODED_BYTES, MAX_FAULTS_NAMED, MAX_SERIES_BYTES
from receiver.wire import decoder as decoding
from receiver.wire import findings
from receiver.wire import remote_write_v1_pb2 as v1_pb2
from receiver.wire import remote_write_v2_pb2 as v2_pb2
from receiver.wire.histogram import fault
from tests.wire.requests import HEADERS, NOW_MS, Series, body, decoder, series

VERSIONS = pytest.mark.parametrize("version", [1, 2])
WHOLE: dict[int, type[v1_pb2.WriteRequest | v2_pb2.Request]] = {1: v1_pb2.WriteRequest, 2: v2_pb2.Request}


@VERSIONS
def test_one_series_of_megabytes_is_refused_unparsed_and_the_others_are_kept(version: int) -> None:
    large = Series([("job", "x" * MAX_SERIES_BYTES)], [(1.0, NOW_MS)] * (MAX_SERIES_BYTES // 8))
    batch = decoder().decode(body(version, [large, series("node_load1")]), HEADERS[version], NOW_MS)
    assert (batch.invalid, len(batch.samples)) == ({"malformed": 1}, 1)
    assert batch.message.endswith(f"bytes; the limit is {MAX_SERIES_BYTES}")


def test_references_to_one_long_text_cost_no_more_than_the_text_in_a_version_1_request() -> None:
    text = "x" * (MAX_DECODED_BYTES // 8)
    several = [Series([("job", text), ("job", text)])] * 1000
    with pytest.raises(DecodeError, match=f"the labels of the request, written out, have over {MAX_DECODED_BYTES}"):
        decoder().decode(body(2, several), HEADERS[2], NOW_MS)


@VERSIONS
def test_what_is_said_of_a_series_is_short_however_long_its_texts_are(version: int) -> None:
    text = "\x01" * 100_000
    labels = [(text, text), (text, text), *((str(number), "x") for number in range(1000))]
    batch = decoder().decode(body(version, [Series(labels), Series([("a", "b")])] * 9), HEADERS[version], NOW_MS)
    assert batch.invalid == {"labels": 18}
    assert len(batch.message) < 10_000


@VERSIONS
def test_of_many_samples_out_of_time_all_are_counted_and_few_are_named(version: int) -> None:
    old = Series(series("node_load1").labels, [(1.0, number) for number in range(20_000)])
    batch = decoder().decode(body(version, [old, series("node_load5")]), HEADERS[version], NOW_MS)
    assert (batch.invalid, len(batch.faults), batch.written.samples) == ({"too_old": 20_000}, MAX_FAULTS_NAMED, 1)
    assert batch.message.endswith(f"… and {20_000 - MAX_FAULTS_NAMED} more")


def cpu_seconds(work: Callable[[], object]) -> float:
    """The least of some times that it took."""
    times = []
    for _ in range(3):
        began = time.thread_time()
        work()
        times.append(time.thread_time() - began)
    return min(times)


LABELS = series("node_load1").labels
MANY = 30_000


@VERSIONS
@pytest.mark.parametrize(
    "one",
    [
        Series(LABELS, [(1.0, NOW_MS)] * MANY),
        Series(LABELS, [(0.0, 0)] * MANY),
        Series(LABELS, (), [(3, 3)] * MANY),
    ],
    ids=["samples", "samples out of time", "histograms"],
)
def test_very_many_parts_of_a_series_cost_little_more_than_protobuf_takes_for_them(version: int, one: Series) -> None:
    content, to = body(version, [one]), decoder()
    message = snappy.uncompress(content)
    parsed = cpu_seconds(lambda: WHOLE[version].FromString(message).SerializeToString())
    assert cpu_seconds(lambda: to.decode(content, HEADERS[version], NOW_MS)) < 8 * parsed


def test_a_histogram_of_very_many_spans_and_buckets_costs_little_more_than_protobuf_takes_for_it() -> None:
    spans, deltas = [v1_pb2.BucketSpan(length=1)] * MANY, [0] * MANY
    one = v1_pb2.TimeSeries(histograms=[v1_pb2.Histogram(positive_spans=spans, positive_deltas=deltas)])
    message = one.SerializeToString()
    parsed = cpu_seconds(lambda: v1_pb2.TimeSeries.FromString(message).SerializeToString())
    assert cpu_seconds(lambda: fault(one)) < 8 * parsed


@VERSIONS
def test_a_request_of_more_labels_and_exemplars_than_any_sender_makes_is_refused(
    version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings, "MAX_LABELS_PER_REQUEST", 30)
    few = [Series([("A", "b"), *LABELS], exemplars=2)] * 5
    assert decoder().decode(body(version, few), HEADERS[version], NOW_MS).status == 204
    with pytest.raises(DecodeError, match="over 30 labels and exemplars"):
        decoder().decode(body(version, [*few, few[0]]), HEADERS[version], NOW_MS)


@VERSIONS
def test_a_request_of_more_rows_than_any_sender_has_samples_is_refused_however_they_are_spread(
    version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of(nodes: int, moments: int) -> bytes:
        samples = [(1.0, NOW_MS + moment) for moment in range(moments)]
        labels = [
            series(name, instance=f"{node}:9100").labels
            for name in ("node_load1", "node_load5")
            for node in range(nodes)
        ]
        return body(version, [Series(one, samples) for one in labels])

    monkeypatch.setattr(decoding, "MAX_ROWS_PER_REQUEST", 30)
    for nodes, moments in ((1, 30), (30, 1), (5, 6)):
        assert decoder().decode(of(nodes, moments), HEADERS[version], NOW_MS).status == 204
    for nodes, moments in ((1, 31), (31, 1), (4, 8)):
        with pytest.raises(DecodeError, match="; the limit is 30"):
            decoder().decode(of(nodes, moments), HEADERS[version], NOW_MS)
