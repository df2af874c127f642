"""What one request may cost, whatever it is made of: a megabyte can unpack to what takes gigabytes to parse."""

from __future__ import annotations

import pytest

from receiver.errors import DecodeError
from receiver.settings import MAX_DECODED_BYTES, MAX_FAULTS_NAMED, MAX_SERIES_BYTES
from tests.wire.requests import HEADERS, NOW_MS, Series, body, decoder, series

VERSIONS = pytest.mark.parametrize("version", [1, 2])


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
