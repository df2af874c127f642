"""Requests of a high-availability pair: the same series, of which one replica's samples are kept."""

from __future__ import annotations

import pytest

from receiver.replicas import FAIL_OVER_MS
from receiver.wire import Batch, Decoder
from tests.wire.requests import HEADERS, NOW_MS, Series, body, decoder, series

VERSIONS = pytest.mark.parametrize("version", [1, 2])
# What the Prometheus Operator adds.
PAIR = {"cluster": "prod", "prometheus": "monitoring/k8s"}


def scrape(replica: str, value: float = 1.0) -> list[Series]:
    labels = {**PAIR, "prometheus_replica": replica}
    return [series("node_load1", value, NOW_MS, **labels), series("up", 1.0, NOW_MS, **labels)]


def sent(one: Decoder, version: int, replica: str, now_ms: int = NOW_MS) -> Batch:
    return one.decode(body(version, scrape(replica)), HEADERS[version], now_ms)


@VERSIONS
def test_the_other_replica_is_answered_202_counted_as_written_and_not_kept(version: int) -> None:
    one = decoder()
    for _ in range(2):  # new, and known
        assert (sent(one, version, "a").status, len(sent(one, version, "a").samples)) == (204, 1)
        other = sent(one, version, "b")
        assert (other.status, len(other.samples), other.duplicates) == (202, 0, 1)
        assert other.written.samples == 2
        assert "samples not kept: 1" in other.message


@VERSIONS
def test_both_replicas_send_the_same_series(version: int) -> None:
    one = decoder()
    first = sent(one, version, "a")
    second = sent(one, version, "b", NOW_MS + FAIL_OVER_MS)
    assert first.samples.series.tolist() == second.samples.series.tolist() == [0]


@VERSIONS
def test_what_is_not_kept_is_not_refused_for_its_time_either(version: int) -> None:
    one = decoder()
    sent(one, version, "a")
    old = [series("node_load1", 1.0, 1, **PAIR, prometheus_replica="b")]
    assert one.decode(body(version, old), HEADERS[version], NOW_MS).status == 202


@VERSIONS
def test_a_series_is_forgotten_in_the_spelling_of_each_replica(version: int) -> None:
    one = decoder()
    sent(one, version, "a")
    sent(one, version, "b")
    one.known.table.forget({0})
    one.forget([0])
    for batch in (sent(one, version, "a"), sent(one, version, "b", NOW_MS + FAIL_OVER_MS)):
        assert one.known.table.numbered(batch.samples).series.tolist() == [1]
