"""Sends a fleet's scrapes as Prometheus's queue manager does, and remembers every sample that was acknowledged.

A series belongs to the shard `id mod shards`, so a scrape is torn over all of them. Each shard has one connection and
one request in flight. It cuts a request after `samples_per_request` samples, or when the oldest has waited for the
batch deadline. Odd shards speak version 2.

- 2xx: the samples are acknowledged; in version 2 only where the answer says that all of them were written.
- 5xx, no connection, a broken one, a time-out: the same bytes again, after 30 ms, doubling up to 5 s, or after what
  `Retry-After` says, without limit.
- any other status: dropped and counted, as Prometheus drops.
"""

from __future__ import annotations

import heapq
import http.client
import random
import threading
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.faults.fleet import Fleet
from tests.faults.oracle import Sample
from tests.wire.requests import HEADERS, Series, body

# Prometheus's own; the deadline is a tenth of its 5 s, as our scrapes are that much closer together.
MIN_BACKOFF_SECONDS = 0.03
MAX_BACKOFF_SECONDS = 5.0
REQUEST_TIMEOUT_SECONDS = 30.0
BATCH_DEADLINE_SECONDS = 0.3
# Small enough that each scrape of each node is cut.
SAMPLES_PER_REQUEST = 40
SHARDS = 4
SCRAPE_INTERVAL_SECONDS = 0.2


@dataclass
class Ledger:
    """What became of everything that was sent; samples as columns, since there may be millions."""

    fleet: Fleet
    requests: int = 0  # acknowledged
    retries: int = 0
    refusals: dict[int, int] = field(default_factory=dict)  # status that is retried → how often
    retry_after_seconds: set[int] = field(default_factory=set)  # all that we were told
    dropped: list[str] = field(default_factory=list)  # a line for each request that must not be sent again
    longest_answer_seconds: float = 0.0
    _series: array[int] = field(default_factory=lambda: array("i"))
    _time_ms: array[int] = field(default_factory=lambda: array("q"))
    _value: array[float] = field(default_factory=lambda: array("d"))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def acknowledge(self, batch: list[Queued]) -> None:
        """A request was answered with 2xx."""
        with self._lock:
            self.requests += 1
            for series, time_ms, value in batch:
                self._series.append(series)
                self._time_ms.append(time_ms)
                self._value.append(value)

    def refuse(self, status: int, retry_after_seconds: int | None) -> None:
        """A request was answered with 5xx."""
        with self._lock:
            self.refusals[status] = self.refusals.get(status, 0) + 1
            if retry_after_seconds is not None:
                self.retry_after_seconds.add(retry_after_seconds)

    def __len__(self) -> int:
        return len(self._series)

    def samples(self) -> Iterator[Sample]:
        """Every acknowledged sample."""
        with self._lock:
            columns = list(self._series), list(self._time_ms), list(self._value)
        for series, time_ms, value in zip(*columns, strict=True):
            yield Sample(self.fleet.series[series].labels, time_ms, value)


Queued = tuple[int, int, float]  # series id, time in milliseconds, value


class Sender:
    """A Prometheus that scrapes the fleet by its own clock and writes to `url`."""

    def __init__(self, url: str, fleet: Fleet, seed: int) -> None:
        self.fleet = fleet
        self.ledger = Ledger(fleet)
        self._random = random.Random(seed)
        self._stop_scraping = threading.Event()
        self._abort = threading.Event()
        self._scraper = threading.Thread(target=self._scrape, name="scraper", daemon=True)
        self._shards = [Shard(url, self.ledger, self._abort, 1 + number % 2) for number in range(SHARDS)]

    def start(self) -> None:
        """Begin to scrape and to send."""
        self._scraper.start()
        for shard in self._shards:
            shard.thread.start()

    def drain(self, timeout_seconds: float) -> int:
        """Scrape no more and wait until everything is answered; how many samples were not in that time."""
        self._stop_scraping.set()
        self._scraper.join()
        deadline = time.monotonic() + timeout_seconds
        for shard in self._shards:
            shard.finish()
        for shard in self._shards:
            shard.thread.join(max(0.0, deadline - time.monotonic()))
        return sum(shard.waiting for shard in self._shards)

    def close(self) -> None:
        """Give up what is not answered yet."""
        self._stop_scraping.set()
        self._abort.set()
        for shard in self._shards:
            shard.finish()
        for thread in (self._scraper, *(shard.thread for shard in self._shards)):
            if thread.ident is not None:
                thread.join()

    def pause(self, number: int) -> None:
        """Have one shard send nothing, as a slow connection would, until `resume`."""
        self._shards[number].may_send.clear()

    def resume(self, number: int) -> None:
        """Let a paused shard send again."""
        self._shards[number].may_send.set()

    def _scrape(self) -> None:
        """Each node at its own phase; a scrape's samples go to all shards at once."""
        due = [(time.time() + self._random.random() * SCRAPE_INTERVAL_SECONDS, n) for n in range(len(self.fleet.nodes))]
        heapq.heapify(due)
        while True:
            at, number = due[0]
            if self._stop_scraping.wait(max(0.0, at - time.time())):
                return
            scrape = self.fleet.nodes[number].scrape(int(at * 1000))
            for place, shard in enumerate(self._shards):
                mine = [(id_, scrape.time_ms, value) for id_, value in scrape.samples if id_ % SHARDS == place]
                shard.put(mine)
            heapq.heapreplace(due, (at + SCRAPE_INTERVAL_SECONDS, number))


class Shard:
    """One queue with one connection."""

    def __init__(self, url: str, ledger: Ledger, abort: threading.Event, version: int) -> None:
        self.thread = threading.Thread(target=self._run, name="shard", daemon=True)
        self.may_send = threading.Event()
        self.may_send.set()
        self._address = urlsplit(url).netloc
        self._ledger = ledger
        self._abort = abort
        self._version = version
        self._queue: deque[Queued] = deque()
        self._changed = threading.Condition()
        self._finish = False
        self._in_flight = 0
        self._connection = http.client.HTTPConnection(self._address, timeout=REQUEST_TIMEOUT_SECONDS)

    @property
    def waiting(self) -> int:
        """Samples that nobody has answered for."""
        return len(self._queue) + self._in_flight

    def put(self, samples: list[Queued]) -> None:
        """Queue samples."""
        with self._changed:
            self._queue.extend(samples)
            self._changed.notify()

    def finish(self) -> None:
        """End when the queue is empty."""
        with self._changed:
            self._finish = True
            self._changed.notify()

    def _run(self) -> None:
        while batch := self._cut():
            while not self.may_send.wait(0.1) and not self._abort.is_set():
                pass
            self._send(batch)
            if self._abort.is_set():
                break
            self._in_flight = 0
        self._connection.close()

    def _cut(self) -> list[Queued]:
        """The samples of the next request; none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._finish)
            self._changed.wait_for(
                lambda: len(self._queue) >= SAMPLES_PER_REQUEST or self._finish, BATCH_DEADLINE_SECONDS
            )
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), SAMPLES_PER_REQUEST))]
            self._in_flight = len(batch)
            return batch

    def _send(self, batch: list[Queued]) -> None:
        """Until it is answered for good."""
        series = [Series(self._ledger.fleet.series[id_].labels, [(value, time_ms)]) for id_, time_ms, value in batch]
        content = body(self._version, series)
        backoff = MIN_BACKOFF_SECONDS
        while not self._abort.is_set():
            began = time.monotonic()
            try:
                status, headers, text = self._post(content)
            except (OSError, http.client.HTTPException):
                self._connection.close()
                wait = backoff
            else:
                self._ledger.longest_answer_seconds = max(self._ledger.longest_answer_seconds, time.monotonic() - began)
                if status // 100 == 2 and self._confirmed(headers, batch):
                    self._ledger.acknowledge(batch)
                    return
                if status // 100 != 5:
                    self._ledger.dropped.append(f"{status} {headers} {text[:200]}")
                    return
                retry_after = headers.get("retry-after")
                self._ledger.refuse(status, None if retry_after is None else int(retry_after))
                wait = backoff if retry_after is None else float(retry_after)
            self._ledger.retries += 1
            self._abort.wait(wait)
            backoff = min(2 * wait, MAX_BACKOFF_SECONDS)

    def _post(self, content: bytes) -> tuple[int, dict[str, str], str]:
        self._connection.request("POST", "/api/v1/write", content, HEADERS[self._version])
        answer = self._connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, headers, answer.read().decode()

    def _confirmed(self, headers: dict[str, str], batch: list[Queued]) -> bool:
        if self._version == 1:
            return True
        return headers.get("x-prometheus-remote-write-samples-written") == str(len(batch))


def progress(ledger: Ledger, samples: int) -> Callable[[], bool]:
    """True once so many samples more than now are acknowledged."""
    goal = len(ledger) + samples
    return lambda: len(ledger) >= goal
