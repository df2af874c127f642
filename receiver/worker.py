"""The pipeline on its thread: what requests have piled up is committed together, and flushed ten times a second.

What a flush has to move on goes block by block, and requests are served in between: however many rows one node has
waiting, nobody waits for more than the block.

`write` hands a body over and answers when the journal has its samples. The thread decodes whatever requests have piled
up meanwhile and commits them in one transaction (group commit). Were they decoded on the event loop, both threads would
be in each other's way, and the groups would be small: eight senders at once cost 1.4 times as much so.

In: bodies, from callers that share one event loop, and orders. Out: batches, or what the pipeline raises; each request
has its own answer. An error that nobody foresaw ends the thread, and `on_failure` is called: what the journal has is
made into rows at the next start, while going on could pass over it.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass

from receiver.clocks import Clocks
from receiver.errors import NodescoreError, StoreUnavailable, Unavailable
from receiver.housekeeping import Housekeeping
from receiver.pipeline import Pipeline
from receiver.wire import Batch

# Rows that become complete within this time are scored in one batch. A score is exposed that much later at most.
FLUSH_MS = 100
# A stop scores for so long what can leave; the next start does the rest. Docker kills after 10 s, Kubernetes later.
STOP_FLUSH_MS = 5000
# Bodies that wait for the journal: 1,600 requests of 2,000 samples, some seconds of work, or two of the largest.
MAX_WAITING_BYTES = 64 * 1024 * 1024
# Requests that are committed together: the sync costs each next to nothing, and the flush waits some 50 ms for them.
MAX_GROUP = 64
# And their kept samples, give or take one request: the next ones are decoded only where rows have room for them.
MAX_GROUP_SAMPLES = 100_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Request:
    """A body whose sender waits."""

    body: bytes
    headers: Mapping[str, str]
    done: asyncio.Future[Batch]


@dataclass(frozen=True, slots=True)
class _Order:
    """Something else to do on the pipeline's thread, for which somebody waits."""

    run: Callable[[], None]
    done: Future[None]


class Worker:
    """One thread over a pipeline that has been recovered."""

    def __init__(self, pipeline: Pipeline, clocks: Clocks) -> None:
        self.flush_fault = ""  # why rows do not move on; "" while they do
        self.commit_fault = ""  # why samples are not taken; "" while they are
        self.failed = False
        self.on_failure: Callable[[], None] = lambda: None
        self._pipeline = pipeline
        self._clocks = clocks
        self._housekeeping = Housekeeping(pipeline, clocks.steady_ms())
        self._queue: queue.SimpleQueue[_Request | _Order] = queue.SimpleQueue()
        self._waiting_bytes = 0
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pipeline", daemon=True)

    def start(self) -> None:
        """Take requests."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what waits, as far as there is time, and save the states."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    async def write(self, body: bytes, headers: Mapping[str, str]) -> Batch:
        """Take one request; returns when its kept samples are on disk. `headers` has lower-case names."""
        self._check_running()
        if self._waiting_bytes + len(body) > MAX_WAITING_BYTES:
            raise Unavailable(f"over {MAX_WAITING_BYTES} bytes of requests wait", retry_after_seconds=1)
        done: asyncio.Future[Batch] = asyncio.get_running_loop().create_future()
        self._waiting_bytes += len(body)
        self._hand_over(_Request(body, headers, done))
        try:
            return await done
        finally:
            self._waiting_bytes -= len(body)

    def order(self, run: Callable[[], None]) -> None:
        """Have something done on the pipeline's thread; returns or raises as it does."""
        self._check_running()
        done: Future[None] = Future()
        self._hand_over(_Order(run, done))
        done.result()

    def _hand_over(self, item: _Request | _Order) -> None:
        self._queue.put(item)
        if self._ended.is_set():  # since this was checked: the thread may have looked into the queue for the last time
            self._turn_all_away()

    def _turn_all_away(self) -> None:
        while items := self._take(0):
            _turn_away(items)

    def _check_running(self) -> None:
        if self._stopping.is_set():
            raise Unavailable("Nodescore is stopping", retry_after_seconds=1)

    def _run(self) -> None:
        try:
            self._serve()
        except Exception:
            log.exception("the pipeline has failed and ends; its journal is kept")
            self.failed = True
            self.flush_fault = "the pipeline has failed; see the log"
            self._stopping.set()
            self.on_failure()
        finally:
            self._ended.set()
            self._turn_all_away()

    def _serve(self) -> None:
        due_ms = 0
        while not self._stopping.is_set():
            self._work(self._take(max(0, due_ms - self._clocks.steady_ms())))
            now_ms = self._clocks.steady_ms()
            if now_ms >= due_ms:
                due_ms = now_ms if self._flush(now_ms) else now_ms + FLUSH_MS
        while items := self._take(0):
            self._work(items)
        until_ms = self._clocks.steady_ms() + STOP_FLUSH_MS
        while self._flush(now_ms := self._clocks.steady_ms()) and now_ms < until_ms:
            pass
        try:
            self._pipeline.checkpoint()
        except StoreUnavailable as error:
            log.warning("the states are not saved, and stepped again at the next start: %s", error)

    def _take(self, patience_ms: int) -> list[_Request | _Order]:
        """What has piled up, `MAX_GROUP` at most; waits for the first."""
        items: list[_Request | _Order] = []
        with suppress(queue.Empty):
            items.append(self._queue.get(timeout=patience_ms / 1000))
            while len(items) < MAX_GROUP:
                items.append(self._queue.get_nowait())
        return items

    def _work(self, items: list[_Request | _Order]) -> None:
        requests = [item for item in items if isinstance(item, _Request)]
        try:
            while requests:
                answers = self._write(requests)
                _answer(requests[: len(answers)], answers)
                requests = requests[len(answers) :]
        except Exception:
            _turn_away(items)
            raise
        for item in items:
            if isinstance(item, _Order):
                try:
                    item.run()
                except NodescoreError as fault:
                    item.done.set_exception(fault)
                except Exception as fault:
                    item.done.set_exception(fault)
                    raise
                else:
                    item.done.set_result(None)

    def _write(self, requests: Sequence[_Request]) -> list[Batch | Exception]:
        """The answers to the first of these requests, their kept samples being on disk: to all, mostly.

        An error in one is no error of the others.
        """
        wall_ms = self._clocks.wall_ms()
        answers: list[Batch | Exception] = []
        kept: list[Batch] = []
        samples = 0
        while len(answers) < len(requests) and samples < MAX_GROUP_SAMPLES:
            answer = self._decode(requests[len(answers)], wall_ms)
            answers.append(answer)
            if isinstance(answer, Batch) and len(answer.samples):
                kept.append(answer)
                samples += len(answer.samples)
        if kept:
            try:
                self._pipeline.commit(kept, self._clocks.steady_ms())
                self.commit_fault = ""
            except StoreUnavailable as fault:
                self.commit_fault = str(fault)
                return [fault if isinstance(answer, Batch) and len(answer.samples) else answer for answer in answers]
        return answers

    def _decode(self, request: _Request, wall_ms: int) -> Batch | Exception:
        try:
            return self._pipeline.decode(request.body, request.headers, wall_ms)
        except NodescoreError as fault:
            # It waits for the answers of its group, and without this the decoded body, of 32 MiB maybe, would too.
            fault.__cause__ = fault.__context__ = None
            return fault.with_traceback(None)
        except MemoryError:
            return Unavailable("there is no memory for this request now; send it again")
        except Exception as fault:
            return fault

    def _flush(self, now_ms: int) -> bool:
        """Move a block on; whether there is more to do at once."""
        more = False
        try:
            _, more = self._pipeline.flush_block(now_ms)
            self._housekeeping.keep(now_ms, self._clocks.wall_ms())
            self.flush_fault = ""
        except StoreUnavailable as error:
            if str(error) != self.flush_fault:
                log.warning("%s", error)
            self.flush_fault = str(error)
        return more


def _turn_away(items: Sequence[_Request | _Order]) -> None:
    """Answer those whom nobody will serve any more."""
    requests = [item for item in items if isinstance(item, _Request)]
    stopping = Unavailable("Nodescore is stopping", retry_after_seconds=1)
    _answer(requests, [stopping] * len(requests))
    for item in items:
        if isinstance(item, _Order) and not item.done.done():
            item.done.set_exception(stopping)


def _answer(requests: Sequence[_Request], answers: Sequence[Batch | Exception]) -> None:
    """Answer on the event loop of those who wait: all of them with one wake-up."""
    if requests:
        with suppress(RuntimeError):  # the loop has ended, and with it all who waited
            requests[0].done.get_loop().call_soon_threadsafe(_settle, requests, answers)


def _settle(requests: Sequence[_Request], answers: Sequence[Batch | Exception]) -> None:
    for request, answer in zip(requests, answers, strict=True):
        if request.done.done():  # the server has given up on it
            continue
        if isinstance(answer, Exception):
            request.done.set_exception(answer)
        else:
            request.done.set_result(answer)
