"""A service under a fleet's load, told again and again to go on with another model; what was answered, and stored.

Two versions of a model that counts a node's rows take turns: row k of a node scores k / 100 under the one, and 1,000
more under the other. So a score says which model has made it, and whether that model had known each row before it
once: a score that was lost, stepped twice, or made by another model than it is stored with, shows in its value.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np

from benchmarks.fleet.requests import Encoder, name_of
from benchmarks.fleet.sender import Plan, Sent, Shard
from benchmarks.node_exporter import Scraped
from receiver import catalogue, registry
from receiver.detector.model import read
from receiver.settings import Settings
from tests import counting_model
from tests.servers.nodescore import Nodescore

OFFSETS = {"counting-low": 0.0, "counting-high": 1000.0}
# Half of a row's hundredth, which float32 still tells at 1,000.
TOLERANCE = 0.005
# Before the first swap and after the last: how quick answers are without one.
QUIET_SECONDS = 10.0
# Until what was sent last has left its rows, and its scores are in the store.
SETTLE_SECONDS = 12.0
POLL_SECONDS = 0.02
# After each swap at most, so that swaps meet requests and flushes at any moment.
PAUSE_SECONDS = 0.4
FOLLOW_SECONDS = 30.0
LONGEST_SECONDS = 3500.0  # of the load, which ends by itself


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent while the models take turns."""

    nodes: int
    interval_seconds: float
    shards: int
    swaps: int
    deadline_seconds: float = 7.0  # that a row waits for what it lacks
    version: int = 1  # of remote write


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store has, beside what must be there."""

    rows: int  # with a score
    lost: int  # acknowledged rows without one
    miscounted: int  # scores that do not know each row before them once
    mixed: int  # scores that are stored with another version than made them
    by_version: dict[str, int]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it."""

    load: Load
    seconds: float
    samples: int
    stored: Stored
    scored: int  # as the service counts them: more than the rows where one was scored twice
    swaps_counted: int
    swap_seconds: tuple[float, float, float]  # p50, p99, most: from the order until the new version is seen
    answers: int
    answer_ms: tuple[float, float, float]  # p50, p99, most: of the answers that a swap went beside
    quiet_ms: tuple[float, float, float]  # the same of the others
    retries: int
    refused: int


def run(scraped: list[Scraped], load: Load, folder: Path) -> Outcome:
    """Start a service, send, swap, end it, and count."""
    service = Nodescore(folder, environment={"NODESCORE_ASSEMBLY_DEADLINE_SECONDS": str(load.deadline_seconds)})
    _publish(service.data_dir, folder)
    service.start()
    try:
        plan = Plan(load.nodes, round(LONGEST_SECONDS / load.interval_seconds), load.interval_seconds, time.time() + 1)
        sent = Sent.of(plan.scrapes, load.shards)
        swaps = asyncio.run(
            _swap_under_load(
                service, Encoder(scraped, load.shards, load.version, load.interval_seconds), plan, sent, load
            )
        )
        metrics = service.metrics()
    finally:
        service.stop()
    begun, _, answer, samples = np.array(sent.requests).T
    beside = np.zeros(len(begun), np.bool_)
    for ordered, seen in swaps:
        beside |= (begun + answer >= ordered) & (begun <= seen)
    return Outcome(
        load=load,
        seconds=time.time() - plan.start_seconds,
        samples=int(samples.sum()),
        stored=stored(service.data_dir / "nodescore.sqlite", plan, sent),
        scored=_count(metrics, "nodescore_rows_scored_total"),
        swaps_counted=_count(metrics, "nodescore_model_changes_total"),
        swap_seconds=_spread([seen - ordered for ordered, seen in swaps]),
        answers=len(answer),
        answer_ms=_spread(1000 * answer[beside]),
        quiet_ms=_spread(1000 * answer[~beside]),
        retries=sum(sent.retries.values()),
        refused=sum(sent.refused.values()),
    )


def stored(path: Path, plan: Plan, sent: Sent) -> Stored:
    """Look at each score."""
    scrape = np.flatnonzero(sent.acknowledged_seconds)
    elapsed_seconds = (scrape * (plan.interval_seconds / plan.nodes)).astype(np.float64)
    time_ms = np.floor((plan.start_seconds + elapsed_seconds) * 1000).astype(np.int64)
    expected = set(zip(map(name_of, (scrape % plan.nodes).tolist()), time_ms.tolist(), strict=True))
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as file:
        found = file.execute(
            "SELECT n.name, s.time_ms, m.version, s.score FROM node_scores s JOIN nodes n ON n.id = s.node "
            "JOIN models m ON m.id = s.model ORDER BY s.time_ms"
        ).fetchall()
    known: dict[str, int] = {}
    by_version: dict[str, int] = {}
    miscounted = mixed = 0
    for node, _, version, score in found:
        known[node] = known.get(node, 0) + 1
        by_version[version] = by_version.get(version, 0) + 1
        made_by = "counting-high" if score >= OFFSETS["counting-high"] else "counting-low"
        mixed += made_by != version
        miscounted += abs(score - OFFSETS[made_by] - known[node] / 100) > TOLERANCE
    there = {(node, at_ms) for node, at_ms, _, _ in found}
    return Stored(len(found), len(expected - there), miscounted, mixed, by_version)


def _publish(data_dir: Path, folder: Path) -> None:
    """Make both versions, and have the service begin with the first."""
    wanted = catalogue.load()
    settings = Settings.model_validate({"data_dir": data_dir})
    now_ms = time.time_ns() // 1_000_000
    with registry.opened(settings, wanted) as store:
        for version, offset in OFFSETS.items():
            path = counting_model.write(folder / f"{version}.onnx", wanted, version, offset=offset)
            registry.publish(store, wanted, read(path), now_ms, name=path)
        registry.activate(store, wanted, "counting-low", by="benchmark", reason="the first", now_ms=now_ms)


async def _swap_under_load(
    service: Nodescore, encoder: Encoder, plan: Plan, sent: Sent, load: Load
) -> list[tuple[float, float]]:
    """Send until all swaps are done; when each was ordered and when it was seen."""
    shards = [Shard(number, encoder, plan, service.address, load.version, sent) for number in range(load.shards)]
    senders = [asyncio.create_task(shard.run()) for shard in shards]
    swaps = []
    async with httpx.AsyncClient(base_url=service.url, timeout=FOLLOW_SECONDS) as client:
        await asyncio.sleep(QUIET_SECONDS)
        for swap in range(load.swaps):
            version = ("counting-high", "counting-low")[swap % 2]
            ordered = time.time()
            answer = await client.post(f"/api/v1/models/{version}/activate", json={"by": "benchmark"})
            answer.raise_for_status()
            while version not in await _active(client):
                if time.time() - ordered > FOLLOW_SECONDS:
                    raise TimeoutError(f"swap {swap}: {version} is not in use after {FOLLOW_SECONDS:g} s")
                await asyncio.sleep(POLL_SECONDS)
            swaps.append((ordered, time.time()))
            await asyncio.sleep(random.random() * PAUSE_SECONDS)
    await asyncio.sleep(QUIET_SECONDS)
    for sender in senders:
        sender.cancel()
    await asyncio.gather(*senders, return_exceptions=True)
    await asyncio.sleep(SETTLE_SECONDS)
    return swaps


async def _active(client: httpx.AsyncClient) -> str:
    """The lines of the version in use."""
    text = (await client.get("/metrics")).text
    return "".join(
        line for line in text.splitlines() if line.startswith("anomaly_model_info{") and line.endswith(" 1.0")
    )


def _count(metrics: str, name: str) -> int:
    return next(int(float(line.split()[1])) for line in metrics.splitlines() if line.startswith(f"{name} "))


def _spread(values: Sequence[float] | np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[float, float, float]:
    """Median, 99th percentile, most."""
    if not len(values):
        return float("nan"), float("nan"), float("nan")
    return float(np.percentile(values, 50)), float(np.percentile(values, 99)), float(np.max(values))
