"""What the loops over a request take, and what they leave to a full parse."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from google.protobuf.message import DecodeError as ProtobufDecodeError
from hypothesis import given
from hypothesis import strategies as st

from receiver.wire import Decoder, fields, histogram, lookup, numbers, scan_v1, scan_v2, v2
from receiver.wire.batch import Collector, TimeWindow
from receiver.wire.envelope_pb2 import RequestV2, WriteRequestV1
from tests.wire.requests import HEADERS, MESSAGES, NOW_MS, Series, any_series, body, decoder, series

VERSIONS = pytest.mark.parametrize("version", [1, 2])


def counted(version: int, message: bytes) -> int:
    octets = np.frombuffer(message, np.uint8)
    return scan_v1.count(octets) if version == 1 else scan_v2.count(octets)[1]


def parsed(version: int, message: bytes) -> WriteRequestV1 | RequestV2:
    return WriteRequestV1.FromString(message) if version == 1 else RequestV2.FromString(message)


@VERSIONS
@given(several=st.lists(any_series(), max_size=6))
def test_the_series_of_a_request_are_as_many_as_protobuf_finds(version: int, several: Sequence[Series]) -> None:
    message = MESSAGES[version](several)
    assert counted(version, message) in (-1, len(parsed(version, message).timeseries))


@VERSIONS
@given(several=st.lists(any_series(), min_size=1, max_size=4), data=st.data())
def test_a_damaged_request_is_left_to_protobuf_or_read_as_it_does(
    version: int, several: Sequence[Series], data: st.DataObject
) -> None:
    message = bytearray(MESSAGES[version]([series("up"), *several]))
    message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    count = counted(version, bytes(message))
    try:
        expected = len(parsed(version, bytes(message)).timeseries)
    except ProtobufDecodeError:
        expected = -1
    assert count in (-1, expected)


def parses_nothing(one: Decoder, version: int, several: Sequence[Series], monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a request is taken without a look at any single series."""
    looked_at = []

    def take(*series: object) -> None:
        looked_at.append(series)

    monkeypatch.setattr("receiver.wire.findings.whole.take", take)
    one.decode(body(version, several), HEADERS[version], NOW_MS)
    return not looked_at


USUAL = [
    series("node_load1", 0.5),
    series("node_load5", 0.0),
    series("node_network_receive_bytes_total", device="eth0"),
    series("node_network_receive_bytes_total", device="lo"),
    series("node_filesystem_avail_bytes", device_error="", mountpoint="/", fstype="ext4", device="d" * 200),
    *(series("node_cpu_seconds_total", cpu="0", mode=mode) for mode in ("idle", "iowait", "irq", "user")),
    *(series(f"unwanted_{number}_total") for number in range(200)),
]


@VERSIONS
def test_known_and_unwanted_series_are_not_parsed(version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    one = decoder()
    one.decode(body(version, USUAL), HEADERS[version], NOW_MS)
    assert parses_nothing(one, version, USUAL, monkeypatch)


@VERSIONS
def test_series_that_lack_the_value_that_is_asked_for_are_never_parsed(
    version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = [series("node_cpu_seconds_total", cpu="0", mode=mode) for mode in ("iowait", "irq", "user", "nice")]
    assert parses_nothing(decoder(), version, [*modes, *USUAL[-200:]], monkeypatch)


def test_symbols_may_come_after_the_series_and_at_the_very_end() -> None:
    one = decoder()
    first = RequestV2.FromString(MESSAGES[2]([series("node_load1", 2.5, zone="a"), series("up")]))
    series_first = RequestV2(timeseries=first.timeseries).SerializeToString()
    message = series_first + RequestV2(symbols=first.symbols).SerializeToString()
    for _ in range(2):
        out = Collector(2, TimeWindow(0, 2 * NOW_MS), one.known.replicas, NOW_MS)
        v2.decode(message, one.known, out)
        assert out.batch().samples.value.tolist() == [2.5]


def test_a_decoder_has_all_its_loops_compiled_before_the_first_request() -> None:
    def signatures() -> dict[str, int]:
        return {
            f"{module.__name__}.{name}": len(loop.signatures)
            for module in (fields, histogram, lookup, numbers, scan_v1, scan_v2)
            for name, loop in vars(module).items()
            if hasattr(loop, "signatures")
        }

    one = decoder()
    before = signatures()
    unusual = [Series(series("node_load1").labels, [(1.0, NOW_MS)] * 2), Series([("__name__", "h")], (), [(3, 3)])]
    for version in (1, 2):
        for several in ([*USUAL, *unusual], [Series([], [])], []):
            one.decode(body(version, several), HEADERS[version], NOW_MS)
    assert signatures() == before
    assert sum(before.values()) > 5
