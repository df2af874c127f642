"""One receiver under one load: what it took in, and what that cost it."""

from __future__ import annotations

import http.client
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np

from benchmarks.ingest.receivers import Receiver
from benchmarks.ingest.requests import SCRAPE_MS, Requests
from benchmarks.usage import cpu_seconds, peak_memory_bytes

# After the last answer, for what a receiver has put off: flushes, merges, rows that wait for their deadline.
SETTLE_SECONDS = 8.0
# Scrapes between the first and those that count.
WARM_UP = 4


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one receiver in one case."""

    samples: int
    wall_seconds: float  # of sending
    cpu_seconds: float  # of the server, settling included
    answer_ms: tuple[float, float]  # p50, p99
    peak_memory_bytes: int

    @property
    def samples_per_cpu_second(self) -> float:
        """The figure that all this is for."""
        return self.samples / self.cpu_seconds


@dataclass(frozen=True, slots=True)
class Measured:
    """A receiver that has just started, and the same once it knows every series."""

    cold: Figures  # the first scrape: every series is new
    warm: Figures


def measure(receiver: Receiver, requests: Requests, scrapes: int, connections: int) -> Measured:
    """Send one scrape, `WARM_UP` uncounted ones, then `scrapes`, as fast as they are answered."""
    end_ms = time.time_ns() // 1_000_000
    times = range(end_ms - (scrapes + WARM_UP) * SCRAPE_MS, end_ms + 1, SCRAPE_MS)
    address = urlsplit(receiver.url).netloc
    with ThreadPoolExecutor(connections) as pool:
        senders = [_Sender(address, requests.headers) for _ in range(connections)]
        cold = _measure(pool, senders, receiver.pid, requests, times[:1])
        for time_ms in times[1 : 1 + WARM_UP]:
            _send(pool, senders, requests, time_ms)
        return Measured(cold, _measure(pool, senders, receiver.pid, requests, times[1 + WARM_UP :]))


def _measure(
    pool: ThreadPoolExecutor, senders: list[_Sender], pid: int, requests: Requests, times: Sequence[int]
) -> Figures:
    for sender in senders:
        sender.answer_seconds.clear()
    cpu_before, began = cpu_seconds(pid), time.monotonic()
    preparing = sum(_send(pool, senders, requests, time_ms) for time_ms in times)
    wall = time.monotonic() - began - preparing
    time.sleep(SETTLE_SECONDS)
    answers = 1000 * np.array([seconds for sender in senders for seconds in sender.answer_seconds])
    return Figures(
        samples=requests.series * len(times),
        wall_seconds=wall,
        cpu_seconds=cpu_seconds(pid) - cpu_before,
        answer_ms=(float(np.percentile(answers, 50)), float(np.percentile(answers, 99))),
        peak_memory_bytes=peak_memory_bytes(pid),
    )


class _Sender:
    """One connection."""

    def __init__(self, address: str, headers: dict[str, str]) -> None:
        self.connection = http.client.HTTPConnection(address, timeout=60)
        self.headers = headers
        self.answer_seconds: list[float] = []

    def send(self, bodies: list[bytes]) -> None:
        for body in bodies:
            began = time.monotonic()
            self.connection.request("POST", "/api/v1/write", body, self.headers)
            answer = self.connection.getresponse()
            text = answer.read()
            self.answer_seconds.append(time.monotonic() - began)
            if answer.status // 100 != 2:
                raise RuntimeError(f"{answer.status}: {text.decode(errors='replace')[:500]}")


def _send(pool: ThreadPoolExecutor, senders: list[_Sender], requests: Requests, time_ms: int) -> float:
    """Send one scrape over all connections; the seconds that preparing it took."""
    began = time.monotonic()
    bodies = list(requests.at(time_ms))
    prepared = time.monotonic() - began
    parts = [bodies[place :: len(senders)] for place in range(len(senders))]
    list(pool.map(_Sender.send, senders, parts))
    return prepared
