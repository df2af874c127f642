"""The parts of the wire that need no request around them: headers, bodies, histograms, shifting, error texts."""

from __future__ import annotations

import pytest
import snappy

from receiver.errors import BodyTooLarge, DecodeError, UnsupportedMedia
from receiver.settings import (
    MAX_COMPRESSED_BYTES,
    MAX_DECODED_BYTES,
    MAX_LABEL_BYTES,
    MAX_LABELS,
    MAX_SERIES_PER_REQUEST,
)
from receiver.wire import Batch, Written, check_encoding, shift, version_of
from receiver.wire import remote_write_v2_pb2 as v2_pb2
from receiver.wire.body import decompress
from receiver.wire.histogram import fault
from receiver.wire.whole import kept_fault, label_fault, shown
from tests.wire.requests import HEADERS, NOW_MS, V1_HEADERS, Series, body, decoder, series

V2 = "io.prometheus.write.v2.Request"


@pytest.mark.parametrize(
    ("content_type", "version"),
    [
        (None, 1),
        ("", 1),
        ("application/x-protobuf", 1),
        ("application/x-protobuf;proto=prometheus.WriteRequest", 1),
        (f"application/x-protobuf;proto={V2}", 2),
        (f"application/x-protobuf; charset=x ; proto = {V2} ", 2),
        (f'application/x-protobuf;proto="{V2}"', 2),
    ],
)
def test_the_content_type_alone_says_the_version(content_type: str | None, version: int) -> None:
    headers = {"x-prometheus-remote-write-version": "2.0.0" if version == 1 else "0.1.0"}
    assert version_of(headers | ({} if content_type is None else {"content-type": content_type})) == version


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-protobuf;proto=prometheus.ReadRequest"},
    ],
)
def test_another_type_is_not_supported(headers: dict[str, str]) -> None:
    with pytest.raises(UnsupportedMedia):
        version_of(headers)


@pytest.mark.parametrize("encoding", [None, "", "snappy", " Snappy "])
def test_snappy_is_the_encoding_where_none_is_named(encoding: str | None) -> None:
    check_encoding({} if encoding is None else {"content-encoding": encoding})


def test_another_encoding_is_not_supported() -> None:
    with pytest.raises(UnsupportedMedia, match="'zstd'"):
        check_encoding({"content-encoding": "zstd"})


@pytest.mark.parametrize("version", [1, 2])
def test_a_request_of_more_series_than_any_sender_makes_is_refused(version: int) -> None:
    empty = b"\x0a\x00" if version == 1 else b"\x2a\x00"
    with pytest.raises(DecodeError, match=f"the limit is {MAX_SERIES_PER_REQUEST}"):
        decoder().decode(snappy.compress(empty * (MAX_SERIES_PER_REQUEST + 1)), HEADERS[version], NOW_MS)


def test_a_body_of_the_largest_size_is_decoded() -> None:
    assert len(decompress(snappy.compress(bytes(MAX_DECODED_BYTES)))) == MAX_DECODED_BYTES


def test_a_body_that_decodes_to_more_is_refused() -> None:
    with pytest.raises(DecodeError, match="the limit is"):
        decompress(snappy.compress(bytes(MAX_DECODED_BYTES + 1)))


def test_a_compressed_body_over_the_limit_is_refused() -> None:
    with pytest.raises(BodyTooLarge):
        decompress(bytes(MAX_COMPRESSED_BYTES + 1))


def histogram(**fields: object) -> v2_pb2.TimeSeries:
    """A series of two: one that is fine, and one that has these fields."""
    whole: dict[str, object] = {
        "count_int": 6,
        "positive_spans": [v2_pb2.BucketSpan(offset=0, length=2)],
        "positive_deltas": [2, 1],
        "zero_count_int": 1,
    }
    return v2_pb2.TimeSeries(histograms=[whole, {**whole, **fields}])


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"sum": float("nan"), "count_int": 9},
        {"schema": -53, "custom_values": [1.0, 2.0]},
        {"count_int": 12, "negative_spans": [{"offset": -9, "length": 2}], "negative_deltas": [2, 2]},
        {"positive_spans": [{"length": 1}, {"offset": 3, "length": 1}]},
        {"count_float": 6.5, "zero_count_float": 1.0, "positive_counts": [2.0, 3.5], "positive_deltas": []},
    ],
)
def test_a_consistent_histogram_has_no_fault(fields: dict[str, object]) -> None:
    assert fault(histogram(**fields)) == ""


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"count_int": 7}, "add up to 6, its count is 7"),
        ({"count_int": 5, "sum": float("nan")}, "add up to 6, its count is 5"),
        ({"schema": 99}, "schema 99"),
        ({"schema": -53, "custom_values": [2.0, 1.0]}, "do not rise"),
        ({"schema": -53, "negative_deltas": [1]}, "cannot be negative"),
        ({"positive_deltas": [2]}, "do not cover its 1 buckets"),
        ({"positive_deltas": [-1, 1]}, "a positive bucket has a negative count"),
        ({"negative_spans": [{"length": 1}], "negative_deltas": [-1]}, "a negative bucket has a negative count"),
        ({"count_float": 1.0, "positive_counts": [1.0, -1.0]}, "a positive bucket has a negative count"),
        ({"count_float": -1.0, "positive_counts": [1.0, 1.0]}, "its count is negative"),
        ({"positive_deltas": [2**63 - 1, 1]}, "a positive bucket has a negative count"),
        (
            {"positive_spans": [v2_pb2.BucketSpan(length=1), v2_pb2.BucketSpan(offset=-1, length=1)]},
            "overlaps the one before",
        ),
    ],
)
def test_an_inconsistent_histogram_is_refused_by_its_fault(fields: dict[str, object], text: str) -> None:
    assert text in fault(histogram(**fields))


@pytest.mark.parametrize("version", [1, 2])
def test_a_shifted_recording_differs_in_its_times_only(version: int) -> None:
    sent = [series("node_load1", 2.5), Series([("__name__", "h")], (), histogram_counts=[(3, 3)], exemplars=1)]
    moved = shift(body(version, sent), HEADERS[version], 1000)
    one = decoder()
    before = one.decode(body(version, sent), HEADERS[version], NOW_MS)
    after = one.decode(moved, HEADERS[version], NOW_MS)
    assert (after.samples.time_ms - before.samples.time_ms).tolist() == [1000]
    assert after.samples.value.tolist() == before.samples.value.tolist()
    assert after.written == before.written


def test_a_recording_that_is_no_request_cannot_be_shifted() -> None:
    with pytest.raises(DecodeError, match=r"not a prometheus\.WriteRequest"):
        shift(snappy.compress(b"\x0a\xff"), V1_HEADERS, 0)


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ([("__name__", "up"), ("", "x")], "a label has no name"),
        ([("__name__", "up"), ("a", "x"), ("a", "y")], "label 'a' stands twice"),
        ([("a", "x")], "no metric name"),
        ([("__name__", "")], "no metric name"),
        ([("__name__", "up"), ("a", "")], ""),
    ],
)
def test_a_label_set_is_refused_by_its_fault(labels: list[tuple[str, str]], text: str) -> None:
    assert text in label_fault(labels)
    assert bool(text) == bool(label_fault(labels))


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ([("a", "nul\0")], "label 'a' holds a NUL"),
        ([(str(i), "x") for i in range(MAX_LABELS + 1)], f"the limit is {MAX_LABELS}"),
        ([("a", "é" * MAX_LABEL_BYTES)], f"the limit is {MAX_LABEL_BYTES}"),
    ],
)
def test_a_label_set_that_no_store_could_keep_is_refused(labels: list[tuple[str, str]], text: str) -> None:
    assert text in kept_fault(labels)


def test_a_long_label_set_is_shown_cut() -> None:
    assert shown([("__name__", "up"), ("zone", "z" * 1000)]).endswith("…")
    assert shown([("__name__", "up"), ("job", "node")]) == "up{job='node'}"


def test_a_batch_without_faults_is_204() -> None:
    batch = Batch(2, decoder().decode(body(2, []), HEADERS[2], NOW_MS).samples, Written(), (), {}, 0)
    assert (batch.status, batch.message) == (204, "")
