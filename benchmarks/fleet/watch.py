"""When each row of a running service became visible, and what the service used meanwhile, seen from outside.

Scores are looked for in the service's file, some 40 times a second, which costs the service nothing. A score is shown
to scrapers before it is written there, so that the file says when it was exposed at the latest. That this holds is
checked: as a Prometheus would, `/metrics` is asked for every `SCRAPE_SECONDS`, and each row that the file had when the
question was sent must be in the answer.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np

from benchmarks.fleet.sender import Plan
from benchmarks.usage import cpu_seconds, memory_bytes
from receiver.columns import Float32, Float64, Int64

POLL_SECONDS = 0.025
SCRAPE_SECONDS = 10.0
# What Prometheus sends.
ACCEPT = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
_SHOWN = re.compile(r'^anomaly_last_row_timestamp_seconds\{cluster="",node="node-(\d+):9100"\} (\S+)$', re.MULTILINE)
_OWN = re.compile(r"^(nodescore_\w+(?:\{[^}]*\})?) (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Moment:
    """The service at one time."""

    seconds: float  # Unix time
    cpu_seconds: float  # of the service, so far
    sender_cpu_seconds: float
    memory_bytes: int
    metrics: dict[str, float]  # of the service itself
    answer_seconds: float  # of the scrape that showed them


@dataclass(slots=True)
class Seen:
    """What was seen; Q scrapes."""

    stored_seconds: Float64  # [Q] when its scored row was found in the file; 0: never
    score: Float32  # [Q]
    moments: list[Moment] = field(default_factory=list)
    unexposed: int = 0  # rows that the file had and a scrape did not show
    exposed: int = 0  # rows that both had


class Watcher:
    """Looks at a service from outside until `stop`."""

    def __init__(self, pid: int, url: str, path: Path, plan: Plan) -> None:
        self.seen = Seen(np.zeros(plan.scrapes), np.full(plan.scrapes, np.nan, np.float32))
        self._pid = pid
        self._url = url
        self._plan = plan
        self._newest_ms = np.zeros(plan.nodes, np.int64)  # of the rows found
        self._file = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        self._change = 0
        self._nodes: Int64 = np.empty(0, np.int64)  # the fleet's number of each node id of the file
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Look until stopped."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._every(POLL_SECONDS, self._poll))
            tasks.create_task(self._every(SCRAPE_SECONDS, self._scrape))
        self._file.close()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()

    async def _every(self, seconds: float, look: Callable[[], Awaitable[None]]) -> None:
        while not self._stopping.is_set():
            began = time.monotonic()
            await look()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), max(0.0, seconds - (time.monotonic() - began)))

    async def _poll(self) -> None:
        """Find the rows that were scored since the last look."""
        found = self._file.execute(
            "SELECT change, time_ms, node, score FROM node_scores WHERE change > ? ORDER BY change", (self._change,)
        ).fetchall()
        if not found:
            return
        now_seconds = time.time()
        self._change = found[-1][0]
        _, time_ms, id_, score = (np.array(column) for column in zip(*found, strict=True))
        if id_.max() >= len(self._nodes):
            self._name_nodes(int(id_.max()))
        node, plan = self._nodes[id_], self._plan
        # A time is that of a scrape, cut to milliseconds: the half of one more is the nearest.
        per_second = plan.nodes / plan.interval_seconds
        scrape = np.rint((time_ms / 1000 + 0.0005 - plan.start_seconds) * per_second).astype(np.int64)
        scrape += (node - scrape + plan.nodes // 2) % plan.nodes - plan.nodes // 2
        first = self.seen.stored_seconds[scrape] == 0
        self.seen.stored_seconds[scrape[first]] = now_seconds
        self.seen.score[scrape] = score
        np.maximum.at(self._newest_ms, node, time_ms)

    def _name_nodes(self, most: int) -> None:
        self._nodes = np.full(most + 1, -1, np.int64)
        for id_, name in self._file.execute("SELECT id, name FROM nodes"):
            if id_ <= most:
                self._nodes[id_] = int(name[len("node-") :].split(":")[0])

    async def _scrape(self) -> None:
        """Ask for /metrics, and for what the kernel knows."""
        before_ms = self._newest_ms.copy()
        began = time.monotonic()
        text = await asyncio.to_thread(self._metrics)
        answer_seconds = time.monotonic() - began
        shown_ms = np.zeros(self._plan.nodes, np.int64)
        shown = _SHOWN.findall(text)
        if shown:
            node, seconds = zip(*shown, strict=True)
            shown_ms[np.array(node, np.int64)] = np.rint(np.array(seconds, np.float64) * 1000)
        there = before_ms > 0
        missed = int(np.count_nonzero(there & (shown_ms < before_ms)))
        self.seen.unexposed += missed
        self.seen.exposed += int(np.count_nonzero(there)) - missed
        self.seen.moments.append(
            Moment(
                seconds=time.time(),
                cpu_seconds=cpu_seconds(self._pid),
                sender_cpu_seconds=time.process_time(),
                memory_bytes=memory_bytes(self._pid),
                metrics={name: float(value) for name, value in _OWN.findall(text)},
                answer_seconds=answer_seconds,
            )
        )

    def _metrics(self) -> str:
        return httpx.get(f"{self._url}/metrics", headers={"Accept": ACCEPT}, timeout=30).text
