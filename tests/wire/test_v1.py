"""What only version 1 has."""

from __future__ import annotations

import snappy

from receiver.wire import remote_write_v1_pb2 as v1_pb2
from tests.wire.requests import NOW_MS, V1_HEADERS, Series, body, decoder, series


def test_a_request_of_metadata_only_is_accepted() -> None:
    request = v1_pb2.WriteRequest()
    request.metadata.add(metric_family_name="up", help="is it up")
    batch = decoder().decode(snappy.compress(request.SerializeToString()), V1_HEADERS, NOW_MS)
    assert (batch.status, batch.written.samples) == (204, 0)


def test_a_name_label_that_is_not_first_is_found() -> None:
    labels = [("Zone", "a"), ("__name__", "node_load1"), ("instance", "i")]
    assert len(decoder().decode(body(1, [Series(labels)]), V1_HEADERS, NOW_MS).samples) == 1


def test_a_label_value_that_spells_a_wanted_name_is_not_one() -> None:
    spelled = "\x0a\x08__name__\x12\x0anode_load1"
    batch = decoder().decode(body(1, [series("up", job=spelled)]), V1_HEADERS, NOW_MS)
    assert len(batch.samples) == 0


def test_a_label_value_that_spells_a_sample_is_not_one() -> None:
    # The value is 0 and so omitted; the bytes before it look like a sample of their own.
    spelled = series("node_load1", 0.0, zone="\x12\x10\x09" + "a" * 7)
    one = decoder()
    for _ in range(2):
        batch = one.decode(body(1, [spelled]), V1_HEADERS, NOW_MS)
        assert batch.samples.value.tolist() == [0.0]
        assert batch.samples.time_ms.tolist() == [NOW_MS]


def test_unwanted_series_are_remembered_nowhere() -> None:
    one = decoder()
    one.decode(body(1, [series(f"unwanted_{i}_total") for i in range(100)]), V1_HEADERS, NOW_MS)
    assert len(one.known.table) == 0
    assert len(one.known.keys) == 0
