"""The fast paths against the full parse, on usual, unusual and damaged requests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import snappy
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import DecodeError, RequestError
from receiver.wire import Batch
from tests.wire.requests import HEADERS, MESSAGES, NOW_MS, Kept, Series, any_series, body, decoder, series

VERSIONS = pytest.mark.parametrize("version", [1, 2])
USUAL = [
    series("node_load1", 0.5),
    series("node_cpu_seconds_total", 17.25, cpu="0", mode="idle"),
    series("node_cpu_seconds_total", 3.0, cpu="0", mode="user"),
    series("node_network_receive_bytes_total", 0.0, device="eth0"),
    series("node_network_receive_bytes_total", 9.0, device="lo"),
    series("go_goroutines", 12.0),
]


def kept(batch: Batch) -> Kept:
    samples = batch.samples
    bits = samples.value.view(np.int64)
    written = batch.written
    return Kept(
        sorted(zip(samples.series.tolist(), samples.time_ms.tolist(), bits.tolist(), strict=True)),
        (written.samples, written.histograms, written.exemplars),
        {str(fault): count for fault, count in batch.invalid.items()},
    )


@VERSIONS
def test_a_wanted_series_is_kept_and_every_series_is_counted(version: int) -> None:
    batch = decoder().decode(body(version, USUAL), HEADERS[version], NOW_MS)
    assert batch.status == 204
    assert sorted(batch.samples.value.tolist()) == [0.0, 0.5, 17.25]
    assert batch.written.samples == len(USUAL)


@VERSIONS
def test_a_known_series_is_found_again_by_its_bytes(version: int) -> None:
    one = decoder()
    first = one.decode(body(version, USUAL), HEADERS[version], NOW_MS)
    assert kept(one.decode(body(version, USUAL), HEADERS[version], NOW_MS)) == kept(first)


def test_both_versions_name_the_same_series() -> None:
    one = decoder()
    first = one.decode(body(1, USUAL), HEADERS[1], NOW_MS)
    assert kept(one.decode(body(2, USUAL), HEADERS[2], NOW_MS)) == kept(first)


@VERSIONS
def test_a_staleness_marker_keeps_its_bits(version: int) -> None:
    marker = np.array([0x7FF0000000000002], np.uint64).view(np.float64)[0]
    for one in (
        series("node_load1", float(marker)),
        Series([("A", "b"), *series("node_load1").labels], [(marker, NOW_MS)]),
    ):
        batch = decoder().decode(body(version, [one]), HEADERS[version], NOW_MS)
        assert batch.samples.value.view(np.uint64).tolist() == [0x7FF0000000000002]


@VERSIONS
@given(several=st.lists(any_series(), max_size=6))
def test_the_fast_path_gives_what_the_full_parse_gives(version: int, several: list[Series]) -> None:
    table = decoder()
    request = body(version, several)
    expected = kept(table.decode_whole(request, HEADERS[version], NOW_MS))
    first = table.decode(request, HEADERS[version], NOW_MS)
    again = table.decode(request, HEADERS[version], NOW_MS)
    # An unwanted series of usual shape is not parsed: faults of its labels go unnoticed.
    for batch in (first, again):
        assert kept(batch).samples == expected.samples
        if not expected.invalid:
            assert kept(batch) == expected


# Labels that begin with another's, that differ in their end, or within; refused ones and unwanted ones among them.
LOOK_ALIKES = [
    series("node_load1"),
    series("node_load1", zone=""),
    series("node_load1", zone="a"),
    series("node_load1", zone="b"),
    series("node_load1", zone="a" * 130),
    series("node_load5", zone="a"),
    series("node_network_receive_bytes_total", device="eth0"),
    series("node_network_receive_bytes_total", device="eth1"),
    series("node_network_receive_bytes_total", device="lo"),
    series("up"),
]


@VERSIONS
@given(orders=st.lists(st.lists(st.sampled_from(LOOK_ALIKES), max_size=12, unique_by=id), min_size=2, max_size=5))
def test_the_order_in_which_series_came_before_changes_nothing(version: int, orders: list[list[Series]]) -> None:
    one = decoder()
    for several in orders:
        request = body(version, several)
        expected = kept(one.decode_whole(request, HEADERS[version], NOW_MS))
        assert kept(one.decode(request, HEADERS[version], NOW_MS)) == expected


@VERSIONS
@given(several=st.lists(any_series(), min_size=1, max_size=4), data=st.data())
def test_a_damaged_request_is_refused_or_keeps_what_the_full_parse_keeps(
    version: int, several: Sequence[Series], data: st.DataObject
) -> None:
    message = bytearray(MESSAGES[version]([*USUAL, *several]))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(message) - 1))
        message[place] = data.draw(st.integers(0, 255))
    damaged = snappy.compress(bytes(message[: data.draw(st.integers(0, len(message)))]))
    one = decoder()
    one.decode(body(version, USUAL), HEADERS[version], NOW_MS)
    try:
        expected = one.decode_whole(damaged, HEADERS[version], NOW_MS)
    except DecodeError:
        with pytest.raises(DecodeError):
            one.decode(damaged, HEADERS[version], NOW_MS)
    else:
        assert kept(one.decode(damaged, HEADERS[version], NOW_MS)).samples == kept(expected).samples


@VERSIONS
@given(message=st.binary(max_size=200), compressed=st.booleans())
def test_any_bytes_give_a_batch_or_a_request_error(version: int, message: bytes, compressed: bool) -> None:
    request = snappy.compress(message) if compressed else message
    try:
        batch = decoder().decode(request, HEADERS[version], NOW_MS)
    except RequestError:
        return
    assert batch.status in (204, 400)


@VERSIONS
def test_the_valid_part_of_a_request_is_kept(version: int) -> None:
    nameless = Series([("job", "node")])
    batch = decoder().decode(body(version, [*USUAL, nameless]), HEADERS[version], NOW_MS)
    assert batch.status == 400
    assert len(batch.samples) == 3
    assert batch.written.samples == len(USUAL)
    assert batch.message == "series {job='node'}: it has no metric name (label __name__)"


@VERSIONS
@pytest.mark.parametrize(
    ("time_ms", "reason", "text"),
    [
        (NOW_MS - 3601_000, "too_old", "is too old"),
        (0, "too_old", "is too old"),
        (NOW_MS + 601_000, "future", "is in the future"),
    ],
)
def test_a_kept_sample_out_of_time_is_refused_by_name(version: int, time_ms: int, reason: str, text: str) -> None:
    one = decoder()
    one.decode(body(version, USUAL), HEADERS[version], NOW_MS)
    batch = one.decode(body(version, [series("node_load1", time_ms=time_ms), *USUAL[1:]]), HEADERS[version], NOW_MS)
    assert batch.invalid == {reason: 1}
    assert len(batch.samples) == 2
    assert text in batch.message
    assert "node_load1{instance='10.0.0.1:9100', job='node'}" in batch.message


@VERSIONS
def test_series_over_the_limit_are_refused_and_the_others_kept(version: int) -> None:
    one = decoder(max_series=1)
    batch = one.decode(body(version, [series("node_load1"), series("node_load5")]), HEADERS[version], NOW_MS)
    assert (len(batch.samples), batch.invalid) == (1, {"limit": 1})
    assert "max_series" in batch.message


@VERSIONS
def test_a_node_over_the_limit_is_refused_by_name(version: int) -> None:
    one = decoder(max_nodes=1)
    request = body(version, [series("node_load1"), series("node_load1", instance="10.0.0.2:9100")])
    batch = one.decode(request, HEADERS[version], NOW_MS)
    assert batch.invalid == {"limit": 1}
    assert "10.0.0.2:9100" in batch.message


@VERSIONS
def test_many_faults_are_counted_and_the_first_named(version: int) -> None:
    batch = decoder().decode(body(version, [Series([("job", str(i))]) for i in range(9)]), HEADERS[version], NOW_MS)
    assert batch.invalid == {"labels": 9}
    assert batch.message.endswith("… and 4 more")


@VERSIONS
def test_an_empty_request_is_fine(version: int) -> None:
    assert decoder().decode(body(version, []), HEADERS[version], NOW_MS).status == 204
