"""What only version 2 has."""

from __future__ import annotations

import pytest
import snappy

from receiver.errors import DecodeError
from receiver.wire import Batch, Decoder
from receiver.wire import remote_write_v2_pb2 as v2_pb2
from tests.wire.requests import NODE, NOW_MS, V2_HEADERS, Series, body, decoder, series


def sent(request: v2_pb2.Request, to: Decoder | None = None) -> Batch:
    return (to or decoder()).decode(snappy.compress(request.SerializeToString()), V2_HEADERS, NOW_MS)


def request_with(refs: list[int], symbols: list[str]) -> v2_pb2.Request:
    request = v2_pb2.Request(symbols=symbols)
    request.timeseries.add(labels_refs=refs).samples.add(value=1.0, timestamp=NOW_MS)
    return request


def test_a_series_may_have_only_exemplars() -> None:
    batch = decoder().decode(body(2, [Series([("__name__", "up")], samples=(), exemplars=2)]), V2_HEADERS, NOW_MS)
    assert (batch.status, batch.written.exemplars) == (204, 2)


def test_histograms_are_counted_apart_from_samples() -> None:
    several = [series("up"), Series([("__name__", "h")], samples=(), histogram_counts=[(3, 3)])]
    batch = decoder().decode(body(2, several), V2_HEADERS, NOW_MS)
    assert (batch.written.samples, batch.written.histograms) == (1, 1)


def test_a_series_of_samples_and_histograms_is_refused() -> None:
    batch = decoder().decode(body(2, [Series([("__name__", "h")], histogram_counts=[(3, 3)])]), V2_HEADERS, NOW_MS)
    assert batch.invalid == {"malformed": 1}
    assert "both samples and histograms" in batch.message


@pytest.mark.parametrize("refs", [[1, 9], [9, 2], [1, 2, 3, 9]])
def test_a_reference_out_of_range_is_refused(refs: list[int]) -> None:
    batch = sent(request_with(refs, ["", "__name__", "node_load1", "instance"]))
    assert batch.invalid == {"malformed": 1}
    assert "label reference 9; the request has 4 symbols" in batch.message


def test_a_label_name_without_a_value_is_refused() -> None:
    batch = sent(request_with([1, 2, 3], ["", "__name__", "node_load1", "instance"]))
    assert batch.invalid == {"malformed": 1}
    assert "names and values come in pairs" in batch.message


def test_the_first_symbol_must_be_empty() -> None:
    with pytest.raises(DecodeError, match="first symbol"):
        sent(v2_pb2.Request(symbols=["x"]))


def test_symbols_may_change_their_places_from_request_to_request() -> None:
    one = decoder()
    first = sent(request_with([1, 2, 3, 4], ["", "__name__", "node_load1", "instance", "i"]), one)
    other = sent(request_with([4, 3, 2, 1], ["", "i", "instance", "node_load1", "__name__"]), one)
    assert first.samples.series.tolist() == other.samples.series.tolist() == [0]


def test_a_start_timestamp_and_metadata_do_not_slow_or_change_a_sample() -> None:
    labels = sorted({"__name__": "node_load1", **NODE}.items())
    batch = decoder().decode(body(2, [Series(labels, [(2.5, NOW_MS)], metadata=True)]), V2_HEADERS, NOW_MS)
    assert (batch.samples.value.tolist(), batch.samples.time_ms.tolist()) == ([2.5], [NOW_MS])


def test_over_a_thousand_symbols_references_take_two_bytes() -> None:
    several = [series("node_load1", i, instance=f"node-{i}") for i in range(1, 1001)]
    one = decoder(max_nodes=2000)
    for _ in range(2):
        batch = one.decode(body(2, several), V2_HEADERS, NOW_MS)
        assert sorted(batch.samples.value.tolist()) == list(range(1, 1001))
