"""What the fleet's sender sends is what a Prometheus would: every sample once, cut into shards, counters rising."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import snappy

from benchmarks.fleet.requests import Cursor, Encoder, Piece, name_of
from benchmarks.fleet.sender import Plan, Sent, Shard
from benchmarks.node_exporter import Scraped, with_series
from receiver.wire import remote_write_v1_pb2 as v1_pb2
from receiver.wire import remote_write_v2_pb2 as v2_pb2
from tests.servers.nodescore import Nodescore
from tests.servers.process import Runner, wait_until

SERIES = 50
SHARDS = 3
NODES = 7
START_MS = 1_763_600_000_000
INTERVAL_SECONDS = 10.0

Sample = tuple[str, int, float]  # labels but the node's, time, value


def exposition() -> list[Scraped]:
    """A machine with one CPU, some of whose counters stand at 0."""
    gauges = [Scraped({"__name__": f"node_gauge_{number}"}, float(number * 100)) for number in range(20)]
    counters = [Scraped({"__name__": f"node_{number}_total"}, 1e6 * number) for number in range(10)]
    clock = [Scraped({"__name__": "node_time_seconds"}, 5000.0), Scraped({"__name__": "node_boot_time_seconds"}, 0.0)]
    modes = ("idle", "user", "system")
    cpu = [Scraped({"__name__": "node_cpu_seconds_total", "cpu": "0", "mode": mode}, 333.25) for mode in modes]
    return with_series(gauges + counters + clock + cpu, SERIES)


def bodies(version: int, rounds: int, most: int) -> list[bytes]:
    """All that all shards send."""
    encoder = Encoder(exposition(), SHARDS, version, INTERVAL_SECONDS)
    found = []
    for shard in range(SHARDS):
        cursor = Cursor(encoder, shard, NODES)
        cursor.scraped_until(NODES * rounds)
        while cursor.waiting:
            found.append(body_of(encoder, cursor.cut(most)))
    return found


def body_of(encoder: Encoder, pieces: list[Piece]) -> bytes:
    scrape = np.array([piece.scrape for piece in pieces])
    elapsed_seconds = scrape * (INTERVAL_SECONDS / NODES)
    time_ms = START_MS + np.floor(1000 * elapsed_seconds).astype(np.int64)
    return encoder.body(pieces, scrape % NODES, scrape // NODES, time_ms, elapsed_seconds)


def samples_of(version: int, body: bytes) -> dict[str, list[Sample]]:
    """By node, in the order of the request."""
    found: dict[str, list[Sample]] = defaultdict(list)
    message = snappy.uncompress(body)
    several: Iterable[tuple[list[tuple[str, str]], Iterable[v1_pb2.Sample | v2_pb2.Sample]]]
    if version == 1:
        several = [
            ([(label.name, label.value) for label in one.labels], one.samples)
            for one in v1_pb2.WriteRequest.FromString(message).timeseries
        ]
    else:
        request = v2_pb2.Request.FromString(message)
        several = [
            ([(request.symbols[name], request.symbols[value]) for name, value in pairs_of(one)], one.samples)
            for one in request.timeseries
        ]
    for labels, samples in several:
        assert labels == sorted(labels)
        by_name = dict(labels)
        node = by_name.pop("instance")
        found[node] += [(str(by_name), sample.timestamp, sample.value) for sample in samples]
    return found


def pairs_of(series: v2_pb2.TimeSeries) -> Iterable[tuple[int, int]]:
    return zip(series.labels_refs[::2], series.labels_refs[1::2], strict=True)


def all_samples(version: int, rounds: int = 3, most: int = 40) -> dict[str, list[Sample]]:
    found: dict[str, list[Sample]] = defaultdict(list)
    for body in bodies(version, rounds, most):
        for node, samples in samples_of(version, body).items():
            found[node] += samples
    return found


@pytest.mark.parametrize("version", [1, 2])
def test_every_series_of_every_node_is_sent_once_a_scrape(version: int) -> None:
    found = all_samples(version)
    assert set(found) == {name_of(node) for node in range(NODES)}
    for node in range(NODES):
        times = {
            START_MS + int(1000 * (round_ * INTERVAL_SECONDS + node * INTERVAL_SECONDS / NODES)) for round_ in (0, 1, 2)
        }
        sent = [(labels, time_ms) for labels, time_ms, _ in found[name_of(node)]]
        assert len(sent) == len(set(sent)) == 3 * SERIES
        assert {time_ms for _, time_ms in sent} == times


def test_both_versions_say_the_same() -> None:
    first, second = all_samples(1), all_samples(2)
    assert {node: sorted(samples) for node, samples in first.items()} == {
        node: sorted(samples) for node, samples in second.items()
    }


def test_counters_rise_and_what_is_zero_stays_zero() -> None:
    series: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
    for node, samples in all_samples(1, rounds=20).items():
        for labels, time_ms, value in samples:
            series[node, labels].append((time_ms, value))
    for (_, labels), points in series.items():
        values = [value for _, value in sorted(points)]
        if "node_0_total" in labels:
            assert set(values) == {0.0}
        elif "_total" in labels:
            assert all(before < after for before, after in pairwise(values))


def test_a_request_has_at_most_what_is_asked_for_and_pieces_of_several_nodes() -> None:
    found = [samples_of(1, body) for body in bodies(1, 3, most=40)]
    sizes = [sum(map(len, by_node.values())) for by_node in found]
    assert max(sizes) == 40
    assert max(len(by_node) for by_node in found) > 1


def test_a_fleet_at_its_pace_is_taken_in_whole(run_server: Runner, tmp_path: Path) -> None:
    service = run_server(Nodescore(tmp_path))
    plan = Plan(NODES, rounds=3, interval_seconds=1.0, start_seconds=time.time())
    encoder = Encoder(exposition(), SHARDS, 1, 1.0)
    sent = Sent.of(plan.scrapes, SHARDS)

    async def send() -> None:
        shards = [Shard(number, encoder, plan, service.address, 1, sent) for number in range(SHARDS)]
        await asyncio.gather(*(shard.run() for shard in shards))

    asyncio.run(send())
    assert sum(samples for *_, samples in sent.requests) == plan.scrapes * SERIES
    assert (sent.acknowledged_seconds >= sent.sent_seconds).all()
    assert not sent.retries
    assert not sent.refused
    file = sqlite3.connect(f"file:{service.data_dir / 'nodescore.sqlite'}?mode=ro", uri=True)
    count = "SELECT COUNT(*) FROM node_samples"
    wait_until(lambda: file.execute(count).fetchone() == (plan.scrapes,), "a row for each scrape")
    file.close()
