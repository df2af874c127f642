"""One run: a service on one core, a fleet's sender on another, and what came of it."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.fleet.requests import Encoder
from benchmarks.fleet.sender import Plan, Sent, Shard
from benchmarks.fleet.watch import Moment, Seen, Watcher
from benchmarks.node_exporter import Scraped
from benchmarks.usage import cpu_seconds, peak_memory_bytes
from tests.servers.nodescore import Nodescore

# Before the minutes that count: the first scrapes name all series, which costs more than knowing them.
WARM_UP_SECONDS, WARM_UP_SECONDS_PER_NODE = 30.0, 0.012
# A request that waits longer is behind; less is what the sender's own loop takes when several shards are due.
BEHIND_SECONDS = 0.1
# Without load: before it, when no node is known, and after it, when all are.
IDLE_SECONDS = 20.0
# After the last scrape: longer than the deadline that a row waits for what it lacks.
SETTLE_SECONDS = 10.0
SERVICE_CORE, SENDER_CORE = 0, 1


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent."""

    nodes: int
    minutes: float  # that count
    interval_seconds: float
    shards: int
    version: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it, within the minutes that count unless it says otherwise."""

    load: Load
    series: int  # of a node
    seconds: float
    samples: int  # that were acknowledged
    rows: int  # whose score was stored
    missing_rows: int  # of all scrapes of the run those that no score was ever found of
    incomplete_rows: int  # of the whole run, the first scrapes included
    service_cpu_seconds: float
    sender_cpu_seconds: float
    idle_before_share: float  # of a core
    idle_after_share: float
    requests: int
    retries: dict[str, int]  # of the whole run
    refused: dict[str, int]
    behind_seconds: tuple[float, float]  # p99 and most that a request waited after it could be sent
    behind_warm_up_seconds: float  # the most in the scrapes before
    kept_pace_after_seconds: float  # when, from the start, the last request of these scrapes was behind
    answer_seconds: tuple[float, float]  # p50, p99
    exposed_seconds: tuple[float, float, float]  # p50, p99, most: from the last acknowledgement of a scrape
    exposed_from_sent_seconds: tuple[float, float, float]  # from when the last request of a scrape began to be sent
    scrapes_checked: tuple[int, int]  # rows that /metrics showed of those that were found before, and did not show
    anomalous_share: float  # of the scores, those of 1 and more
    peak_memory_bytes: int  # of the whole run
    moments: tuple[Moment, ...]

    @property
    def cpu_seconds_per_row(self) -> float:
        """All CPU time over all rows."""
        return self.service_cpu_seconds / self.rows

    @property
    def cpu_seconds_per_row_over_idle(self) -> float:
        """The same without what the service uses when nothing is sent."""
        return (self.service_cpu_seconds - self.idle_before_share * self.seconds) / self.rows


def run(scraped: list[Scraped], load: Load) -> Outcome:
    """Start a service with everything on, send, look, end it."""
    encoder = Encoder(scraped, load.shards, load.version, load.interval_seconds)
    os.sched_setaffinity(0, {SENDER_CORE})
    with tempfile.TemporaryDirectory() as folder:
        service = Nodescore(Path(folder))
        service.argv = ["taskset", "--cpu-list", str(SERVICE_CORE), *service.argv]
        service.start()
        try:
            idle_before = _idle_share(service.pid)
            warm_up_seconds = WARM_UP_SECONDS + WARM_UP_SECONDS_PER_NODE * load.nodes
            seconds = warm_up_seconds + 60 * load.minutes
            rounds = round(seconds / load.interval_seconds)
            plan = Plan(load.nodes, rounds, load.interval_seconds, start_seconds=time.time() + 1)
            sent, seen = asyncio.run(_send(service, encoder, plan))
            idle_after = _idle_share(service.pid)
            peak = peak_memory_bytes(service.pid)
        finally:
            service.stop()
    return _outcome(load, len(scraped), plan, sent, seen, (idle_before, idle_after), peak)


async def _send(service: Nodescore, encoder: Encoder, plan: Plan) -> tuple[Sent, Seen]:
    """All of the plan, watched until its rows have settled."""
    version = encoder.version
    sent = Sent.of(plan.scrapes, encoder.shards)
    watcher = Watcher(service.pid, service.url, service.data_dir / "nodescore.sqlite", plan)
    shards = [Shard(number, encoder, plan, service.address, version, sent) for number in range(encoder.shards)]
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(watcher.run())
        async with asyncio.TaskGroup() as senders:
            for shard in shards:
                senders.create_task(shard.run())
        await asyncio.sleep(SETTLE_SECONDS)
        watcher.stop()
    return sent, watcher.seen


def _idle_share(pid: int) -> float:
    """Of a core, with nothing sent."""
    before = cpu_seconds(pid)
    time.sleep(IDLE_SECONDS)
    return (cpu_seconds(pid) - before) / IDLE_SECONDS


def _outcome(
    load: Load, series: int, plan: Plan, sent: Sent, seen: Seen, idle: tuple[float, float], peak_bytes: int
) -> Outcome:
    end_seconds = plan.due_seconds(plan.scrapes)
    counted = [one for one in seen.moments if end_seconds - 60 * load.minutes <= one.seconds <= end_seconds]
    first, last = counted[0], counted[-1]
    requests = np.array(sent.requests)
    inside = (requests[:, 0] >= first.seconds) & (requests[:, 0] < last.seconds)
    begun, behind, answer, samples = requests[inside].T
    warming = requests[requests[:, 0] < first.seconds]
    late_seconds = warming[warming[:, 1] > BEHIND_SECONDS, 0] - plan.start_seconds
    stored = seen.stored_seconds
    rows = (stored >= first.seconds) & (stored < last.seconds)
    whole = rows & (sent.acknowledged_seconds > 0)
    score = seen.score[rows]
    return Outcome(
        load=load,
        series=series,
        seconds=last.seconds - first.seconds,
        samples=int(samples.sum()),
        rows=int(np.count_nonzero(rows)),
        missing_rows=int(np.count_nonzero(stored == 0)),
        incomplete_rows=int(seen.moments[-1].metrics['nodescore_rows_total{kind="incomplete"}']),
        service_cpu_seconds=last.cpu_seconds - first.cpu_seconds,
        sender_cpu_seconds=last.sender_cpu_seconds - first.sender_cpu_seconds,
        idle_before_share=idle[0],
        idle_after_share=idle[1],
        requests=len(begun),
        retries=dict(sent.retries),
        refused=dict(sent.refused),
        behind_seconds=(float(np.percentile(behind, 99)), float(behind.max())),
        behind_warm_up_seconds=float(warming[:, 1].max()),
        kept_pace_after_seconds=float(late_seconds.max(initial=0.0)),
        answer_seconds=(float(np.percentile(answer, 50)), float(np.percentile(answer, 99))),
        exposed_seconds=_spread(stored[whole] - sent.acknowledged_seconds[whole]),
        exposed_from_sent_seconds=_spread(stored[whole] - sent.sent_seconds[whole]),
        scrapes_checked=(seen.exposed, seen.unexposed),
        anomalous_share=float(np.mean(score >= 1)),
        peak_memory_bytes=peak_bytes,
        moments=tuple(counted),
    )


def _spread(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """Median, 99th percentile, most."""
    return float(np.percentile(values, 50)), float(np.percentile(values, 99)), float(values.max())
