"""Sends a fleet's scrapes at their true pace, as Prometheus's queues do, and remembers when what was acknowledged.

A shard is a connection with one request in flight. It sends as soon as it has `SAMPLES_PER_SEND` samples, or with
what it has when its batch deadline has passed since it sent last. 5xx and broken connections are tried again, in the
same order and without limit; any other answer but 2xx loses the request, and is named. What a shard cannot send in
time waits, and the wait is measured: a sender that is too slow itself shows there too.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from benchmarks.fleet.requests import Cursor, Encoder, Piece
from receiver.columns import Float64, Int32
from tests.wire.requests import HEADERS

SAMPLES_PER_SEND = 2000
BATCH_DEADLINE_SECONDS = 1.0
FIRST_BACKOFF_SECONDS = 0.03
LAST_BACKOFF_SECONDS = 5.0
SHORTEST_SLEEP_SECONDS = 0.001
# What a receiver may take for an answer, as Prometheus's `remote_timeout`.
ANSWER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Which scrape is made when: scrape q is the one of node q mod N, in round q div N. Seconds are Unix time."""

    nodes: int
    rounds: int
    interval_seconds: float
    start_seconds: float

    @property
    def scrapes(self) -> int:
        """All of them."""
        return self.nodes * self.rounds

    def due_seconds(self, scrape: int) -> float:
        """When one is made: the nodes evenly over the interval."""
        return self.start_seconds + scrape * self.interval_seconds / self.nodes

    def made_until(self, now_seconds: float) -> int:
        """How many have been made."""
        passed = (now_seconds - self.start_seconds) * self.nodes / self.interval_seconds
        return min(self.scrapes, max(0, int(passed) + 1))


@dataclass(slots=True)
class Sent:
    """What happened; Q scrapes, seconds are Unix time."""

    sent_seconds: Float64  # [Q] when the request with the last of the scrape's samples was begun to be sent; 0: never
    acknowledged_seconds: Float64  # [Q] when the last of them was acknowledged; 0: not all
    _missing: Int32  # [Q] pieces that wait for an acknowledgement
    requests: list[tuple[float, float, float, int]] = field(default_factory=list)  # begun, behind, answer, samples
    retries: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, scrapes: int, shards: int) -> Sent:
        """Nothing yet."""
        return cls(np.zeros(scrapes), np.zeros(scrapes), np.full(scrapes, shards, np.int32))

    def acknowledge(self, scrape: int, sent_seconds: float, now_seconds: float) -> None:
        """The last samples that a shard has of a scrape are in."""
        self.sent_seconds[scrape] = max(self.sent_seconds[scrape], sent_seconds)
        self._missing[scrape] -= 1
        if not self._missing[scrape]:
            self.acknowledged_seconds[scrape] = now_seconds


class Shard:
    """One queue and its connection."""

    def __init__(self, number: int, encoder: Encoder, plan: Plan, address: str, version: int, sent: Sent) -> None:
        self._number = number
        self._cursor = Cursor(encoder, number, plan.nodes)
        self._encoder = encoder
        self._plan = plan
        self._host, self._port = address.rsplit(":", 1)
        headers = {"Host": address, "User-Agent": "nodescore-benchmark", **HEADERS[version]}
        lines = [f"{name}: {value}" for name, value in headers.items()]
        self._head = "\r\n".join(["POST /api/v1/write HTTP/1.1", *lines, "Content-Length: "]).encode()
        self._sent = sent
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def run(self) -> None:
        """Send until every scrape of the plan has been, or until cancelled."""
        try:
            await self._run()
        finally:
            if self._streams:
                self._streams[1].close()

    async def _run(self) -> None:
        plan, cursor = self._plan, self._cursor
        # In a Prometheus that has run for a while the shards' deadlines do not coincide.
        last_seconds = plan.start_seconds - BATCH_DEADLINE_SECONDS * self._number / self._encoder.shards
        made = 0
        while made < plan.scrapes or cursor.waiting:
            now_seconds = time.time()
            made = plan.made_until(now_seconds)
            cursor.scraped_until(made)
            deadline_seconds = last_seconds + BATCH_DEADLINE_SECONDS
            if cursor.waiting >= SAMPLES_PER_SEND or (cursor.waiting and now_seconds >= deadline_seconds):
                await self._send(cursor.cut(SAMPLES_PER_SEND), deadline_seconds)
                last_seconds = time.time()
                continue
            if not cursor.waiting and now_seconds >= deadline_seconds:
                last_seconds = now_seconds
                continue
            missing = -(-(SAMPLES_PER_SEND - cursor.waiting) // self._encoder.size(0))
            wake_seconds = min(plan.due_seconds(made + missing - 1), deadline_seconds)
            await asyncio.sleep(max(SHORTEST_SLEEP_SECONDS, wake_seconds - time.time()))

    async def _send(self, pieces: list[Piece], deadline_seconds: float) -> None:
        plan = self._plan
        samples = sum(piece.samples for piece in pieces)
        due = plan.due_seconds(pieces[-1].scrape) if samples == SAMPLES_PER_SEND else deadline_seconds
        scrape = np.array([piece.scrape for piece in pieces], np.int64)
        elapsed_seconds = (scrape * (plan.interval_seconds / plan.nodes)).astype(np.float64)
        time_ms = np.floor((plan.start_seconds + elapsed_seconds) * 1000).astype(np.int64)
        begun_seconds = time.time()
        body = self._encoder.body(pieces, scrape % plan.nodes, scrape // plan.nodes, time_ms, elapsed_seconds)
        backoff_seconds = FIRST_BACKOFF_SECONDS
        while True:
            sent_seconds = time.time()
            status, text, retry_after = await self._post(body)
            answered_seconds = time.time()
            taken = status // 100 == 2
            if taken or status // 100 == 4:
                break
            self._sent.retries[str(status) if status else text] += 1
            await asyncio.sleep(max(backoff_seconds, retry_after))
            backoff_seconds = min(2 * backoff_seconds, LAST_BACKOFF_SECONDS)
        self._sent.requests.append(
            (begun_seconds, begun_seconds - due, answered_seconds - sent_seconds, samples if taken else 0)
        )
        if not taken:
            self._sent.refused[f"{status}: {text}"] += 1
            return
        for piece in pieces:
            if self._cursor.ends(piece):
                self._sent.acknowledge(piece.scrape, sent_seconds, answered_seconds)

    async def _post(self, body: bytes) -> tuple[int, str, float]:
        """Status, text and Retry-After of the answer; status 0 where there was none."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                if self._streams is None:
                    self._streams = await asyncio.open_connection(self._host, int(self._port))
                reader, writer = self._streams
                writer.write(b"%s%d\r\n\r\n%s" % (self._head, len(body), body))
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
                text = await reader.readexactly(int(fields.get("content-length", "0")))
        except (OSError, EOFError, TimeoutError) as error:
            if self._streams:
                self._streams[1].close()
            self._streams = None
            return 0, type(error).__name__, 0.0
        return int(head.split(" ", 2)[1]), text.decode(errors="replace")[:500], float(fields.get("retry-after", "0"))
