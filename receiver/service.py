"""The pipeline on its thread: what a web server calls.

`write` hands a body over and answers when the journal has its samples. One thread does all the rest: it decodes
whatever requests have piled up meanwhile, commits them in one transaction (group commit), and flushes. Were they
decoded on the event loop, both threads would be in each other's way, and the groups would be small: eight senders at
once cost 1.4 times as much so. A second thread passes rows on to TimescaleDB, where one is configured. `start` and
`stop` frame it all; a service that was stopped in order replays nothing twice.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass

from receiver import __version__
from receiver.catalogue import Catalogue
from receiver.columns import Scores
from receiver.detector import Detector
from receiver.errors import NodescoreError, StoreUnavailable, Unavailable
from receiver.exposition import Exposition, Snapshot
from receiver.handover import Handover
from receiver.health import Component
from receiver.housekeeping import Housekeeping
from receiver.pipeline import Pipeline
from receiver.recovery import recover
from receiver.settings import Settings, SettingsError
from receiver.store.embedded import EmbeddedStore
from receiver.store.outbox import Outbox
from receiver.store.reader import EmbeddedReader
from receiver.wire import Batch

# Rows that become complete within this time are scored in one batch. A score is exposed that much later at most.
FLUSH_MS = 100
# Bodies that wait for the journal: 1,600 requests of 2,000 samples, some seconds of work, or two of the largest.
MAX_WAITING_BYTES = 64 * 1024 * 1024
# Requests that are committed together: the sync costs each next to nothing, and the flush waits some 50 ms for them.
MAX_GROUP = 64
# What has been passed on stays here for the page's charts and for warming a new model's states.
LOCAL_HISTORY_MS = 3_600_000
# A block that is on its way to TimescaleDB when the service stops; cut off, it is passed on again at the next start.
OUTBOX_STOP_SECONDS = 10
# A flush with nodes that another replica may have had waits so long for the database that knows.
HANDOVER_SECONDS = 2

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


class Service:
    """One running Nodescore.

    An error of the pipeline that nobody foresaw ends its thread, and `on_failure` is called: what the journal has is
    made into rows at the next start, while going on could pass over it.
    """

    def __init__(self, settings: Settings, catalogue: Catalogue, detector: Detector) -> None:
        self.settings = settings
        self.catalogue = catalogue
        info = detector.info
        self.exposition = Exposition(
            Snapshot.empty(catalogue.feature_names, info.version, info.detector),
            staleness_seconds=settings.staleness_seconds,
            top_features=settings.top_features,
            contribution_floor=settings.contribution_floor,
            entity=catalogue.name,
            clock=time.time,
            version=__version__,
        )
        self._began_ms, self._began = self.now_ms(), time.monotonic()
        self._queue: queue.SimpleQueue[_Request | _Order] = queue.SimpleQueue()
        self._waiting_bytes = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pipeline", daemon=True)
        self._fault = ""
        self._commit_fault = ""
        self.failed = False
        self.on_failure: Callable[[], None] = lambda: None
        self._path = settings.embedded_path
        try:
            settings.data_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"setting data_dir: {settings.data_dir}: {error.strerror}") from error
        store = EmbeddedStore.open(self._path, catalogue, settings.journal_sync)
        self._outbox, handover = _common_store(settings, catalogue)
        self._pipeline = Pipeline(settings, catalogue, store, detector, self.exposition, handover)
        self._housekeeping = Housekeeping(self._pipeline, self._began_ms)
        self._outbox_stopping = threading.Event()
        self._outbox_thread = threading.Thread(target=self._pass_on, name="outbox", daemon=True)

    def now_ms(self) -> int:
        """The wall clock, which says what is old."""
        return time.time_ns() // 1_000_000

    def steady_ms(self) -> int:
        """The clock by which rows wait: as if nobody had set the wall clock since the start."""
        return self._began_ms + int((time.monotonic() - self._began) * 1000)

    def start(self) -> None:
        """Recover, then take requests."""
        recover(self._pipeline, self.now_ms())
        self._thread.start()
        self._outbox_thread.start()

    def stop(self) -> None:
        """Finish what waits, save the states, close the store."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self._outbox_stopping.set()
        self._outbox_thread.join(OUTBOX_STOP_SECONDS)
        if self._pipeline.handover is not None:
            self._pipeline.handover.close()
        self._pipeline.store.close()

    async def write(self, body: bytes, headers: Mapping[str, str]) -> Batch:
        """Take one request; returns when its kept samples are on disk. Raises `RequestError` or `Unavailable`.

        `headers` has lower-case names. All callers at a time share one event loop.
        """
        self._check_running()
        if self._waiting_bytes + len(body) > MAX_WAITING_BYTES:
            raise Unavailable(f"over {MAX_WAITING_BYTES} bytes of requests wait", retry_after_seconds=1)
        done: asyncio.Future[Batch] = asyncio.get_running_loop().create_future()
        self._waiting_bytes += len(body)
        self._queue.put(_Request(body, headers, done))
        try:
            return await done
        finally:
            self._waiting_bytes -= len(body)

    def history(self, since_ms: int, until_ms: int, nodes: Sequence[int]) -> Scores:
        """Scores of these nodes with since ≤ time < until, by time; raises `StoreUnavailable`."""
        reader = EmbeddedReader.open(self._path, self.catalogue)
        try:
            return Scores.joined(list(reader.read_scores(since_ms, until_ms, nodes)), len(self.catalogue.features))
        finally:
            reader.close()

    def reload(self) -> str:
        """Load the model's file again; the line to answer. Raises `ConfigurationError`, keeping the one before."""
        detector = Detector.load(self._pipeline.states.detector.info.path, self.catalogue.feature_names)
        self._order(lambda: self._pipeline.use(detector, self.now_ms()))
        return f"model {detector.info.version} is in use"

    def status(self) -> list[Component]:
        """Every part that an operator may have to look after."""
        pipeline = self._pipeline
        info = pipeline.states.detector.info
        fault = self._fault or self._commit_fault or _reason(pipeline.check_room)
        store = Component("store", "down", fault) if fault else Component("store", "ok", str(self._path))
        model = Component("model", "ok", f"{info.detector} {info.version}")
        if pipeline.model_fault:
            model = Component("model", "degraded", pipeline.model_fault)
        if self._outbox is None:
            return [store, model]
        lag = self._outbox.lag
        waiting = f"{lag.rows_waiting} rows wait here"
        if lag.error:
            return [store, model, Component("TimescaleDB", "degraded", f"{lag.error}; {waiting}")]
        return [store, model, Component("TimescaleDB", "ok", waiting)]

    def _check_running(self) -> None:
        if self._stopping.is_set():
            raise Unavailable("Nodescore is stopping", retry_after_seconds=1)

    def _order(self, run: Callable[[], None]) -> None:
        """Have something done on the pipeline's thread; returns or raises as it does."""
        self._check_running()
        done: Future[None] = Future()
        self._queue.put(_Order(run, done))
        done.result()

    def _run(self) -> None:
        try:
            self._serve()
        except Exception:
            log.exception("the pipeline has failed and ends; its journal is kept")
            self.failed = True
            self._fault = "the pipeline has failed; see the log"
            self._stopping.set()
            self.on_failure()
        finally:
            while items := self._take(0):
                self._turn_away(items)

    def _serve(self) -> None:
        flushed_ms = 0
        while not self._stopping.is_set():
            self._work(self._take(max(0, flushed_ms + FLUSH_MS - self.steady_ms())))
            now_ms = self.steady_ms()
            if now_ms - flushed_ms >= FLUSH_MS:
                self._flush(now_ms)
                flushed_ms = now_ms
        while items := self._take(0):
            self._work(items)
        self._flush(self.steady_ms())
        try:
            self._pipeline.checkpoint()
        except StoreUnavailable as error:
            log.warning("the states are not saved, and stepped again at the next start: %s", error)

    def _take(self, patience_ms: int) -> list[_Request | _Order]:
        """What has piled up, `MAX_GROUP` at most; waits for the first."""
        try:
            items: list[_Request | _Order] = [self._queue.get(timeout=patience_ms / 1000)]
        except queue.Empty:
            return []
        while not self._queue.empty() and len(items) < MAX_GROUP:
            items.append(self._queue.get_nowait())
        return items

    def _work(self, items: list[_Request | _Order]) -> None:
        requests = [item for item in items if isinstance(item, _Request)]
        try:
            _answer(requests, self._write(requests))
        except Exception:
            self._turn_away(items)
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
        """The answer to each request, its kept samples being on disk. An error in one is no error of the others."""
        wall_ms = self.now_ms()
        answers = [self._decode(request, wall_ms) for request in requests]
        kept = [answer for answer in answers if isinstance(answer, Batch) and len(answer.samples)]
        if kept:
            try:
                self._pipeline.commit(kept, self.steady_ms())
                self._commit_fault = ""
            except StoreUnavailable as fault:
                self._commit_fault = str(fault)
                return [fault if isinstance(answer, Batch) and len(answer.samples) else answer for answer in answers]
        return answers

    def _decode(self, request: _Request, wall_ms: int) -> Batch | Exception:
        try:
            return self._pipeline.decode(request.body, request.headers, wall_ms)
        except NodescoreError as fault:
            # It waits for the answers of its group, and without this the decoded body, of 32 MiB maybe, would too.
            fault.__cause__ = fault.__context__ = None
            return fault.with_traceback(None)
        except Exception as fault:
            return fault

    def _turn_away(self, items: Sequence[_Request | _Order]) -> None:
        """Answer those whom nobody will serve any more."""
        requests = [item for item in items if isinstance(item, _Request)]
        stopping = Unavailable("Nodescore is stopping", retry_after_seconds=1)
        _answer(requests, [stopping] * len(requests))
        for item in items:
            if isinstance(item, _Order) and not item.done.done():
                item.done.set_exception(stopping)

    def _flush(self, now_ms: int) -> None:
        try:
            self._pipeline.flush(now_ms)
            self._housekeeping.keep(now_ms, self.now_ms())
            self._measure_outbox(self.now_ms())
            self._fault = ""
        except StoreUnavailable as error:
            if str(error) != self._fault:
                log.warning("%s", error)
            self._fault = str(error)

    def _pass_on(self) -> None:
        if self._outbox is not None:
            self._outbox.run(self._outbox_stopping, self.now_ms)

    def _measure_outbox(self, wall_ms: int) -> None:
        if self._outbox is None:
            return
        lag, metrics = self._outbox.lag, self.exposition.metrics
        metrics.outbox_rows.set(lag.rows_waiting)
        metrics.outbox_age_seconds.set(0 if lag.oldest_ms is None else max(0, wall_ms - lag.oldest_ms) / 1000)
        metrics.outbox_success.set(lag.success_ms / 1000)


def _reason(check: Callable[[], None]) -> str:
    """Why a check fails; "" where it does not."""
    try:
        check()
    except Unavailable as error:
        return str(error)
    return ""


def _common_store(settings: Settings, catalogue: Catalogue) -> tuple[Outbox | None, Handover | None]:
    """The two ways to a TimescaleDB, where one is configured."""
    if settings.store is None:
        return None, None
    from receiver.store.timescale import TimescaleStore

    dsn = settings.store.get_secret_value()
    outbox = Outbox(
        settings.embedded_path,
        catalogue,
        lambda: TimescaleStore.connect(dsn, catalogue, settings.retention_days),
        keep_ms=LOCAL_HISTORY_MS,
        retention_ms=int(settings.retention_days * 86_400_000),
    )
    return outbox, Handover(lambda: TimescaleStore.connect(dsn, catalogue, patience_seconds=HANDOVER_SECONDS))


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
