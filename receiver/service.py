"""The pipeline on its thread: what a web server calls.

`write` decodes in the caller's event loop and answers when the journal has the samples. One thread does all the
rest: it commits whatever requests have piled up meanwhile in one transaction (group commit), and flushes. A second
one passes rows on to TimescaleDB, where one is configured. `start` and `stop` frame it all; a service that was
stopped in order replays nothing twice.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from receiver import __version__
from receiver.catalogue import Catalogue
from receiver.columns import Scores
from receiver.detector import Detector
from receiver.errors import NodescoreError, StoreUnavailable, Unavailable
from receiver.exposition import Exposition, Snapshot
from receiver.health import Component
from receiver.pipeline import Pipeline
from receiver.settings import Settings, SettingsError
from receiver.store.embedded import EmbeddedStore
from receiver.store.outbox import Outbox
from receiver.store.reader import EmbeddedReader
from receiver.wire import Batch

# Rows that become complete within this time are scored in one batch. A score is exposed that much later at most.
FLUSH_MS = 100
# Requests that wait for the journal: a sender has one in flight for each of its shards, 50 by default at most.
MAX_WAITING = 1000
# What has been passed on stays here for the page's charts and for warming a new model's states.
LOCAL_HISTORY_MS = 3_600_000
# A block that is on its way to TimescaleDB when the service stops; cut off, it is passed on again at the next start.
OUTBOX_STOP_SECONDS = 10

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A decoded request whose sender waits."""

    batch: Batch
    answer: Callable[[NodescoreError | None], None]


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
        self._queue: queue.SimpleQueue[_Waiting | _Order] = queue.SimpleQueue()
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
        self._pipeline = Pipeline(settings, catalogue, store, detector, self.exposition)
        self._outbox = _outbox(settings, catalogue)
        self._outbox_thread = threading.Thread(target=self._pass_on, name="outbox", daemon=True)

    def now_ms(self) -> int:
        """The service's clock."""
        return time.time_ns() // 1_000_000

    def start(self) -> None:
        """Recover, then take requests."""
        self._pipeline.recover(self.now_ms())
        self._thread.start()
        self._outbox_thread.start()

    def stop(self) -> None:
        """Finish what waits, save the states, close the store."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self._outbox_thread.join(OUTBOX_STOP_SECONDS)
        self._pipeline.store.close()

    async def write(self, body: bytes, headers: Mapping[str, str]) -> Batch:
        """Take one request; returns when its kept samples are on disk. Raises `RequestError` or `Unavailable`."""
        self._check_running()
        if self._queue.qsize() >= MAX_WAITING:
            raise Unavailable(f"{MAX_WAITING} requests wait for the journal", retry_after_seconds=1)
        batch = self._pipeline.decode(body, headers, self.now_ms())
        if len(batch.samples):
            loop = asyncio.get_running_loop()
            done: asyncio.Future[None] = loop.create_future()
            self._queue.put(_Waiting(batch, _answer_on(loop, done)))
            await done
        return batch

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
            self._turn_away(self._take(0))

    def _serve(self) -> None:
        flushed_ms = 0
        while not self._stopping.is_set():
            now_ms = self.now_ms()
            self._work(self._take(min(FLUSH_MS, max(0, flushed_ms + FLUSH_MS - now_ms))))
            now_ms = self.now_ms()
            if not 0 <= now_ms - flushed_ms < FLUSH_MS:  # a clock that was set back must not stop the flushes
                self._flush(now_ms)
                flushed_ms = now_ms
        self._work(self._take(0))
        self._flush(self.now_ms())
        try:
            self._pipeline.checkpoint(self.now_ms())
        except StoreUnavailable as error:
            log.warning("the states are not saved, and stepped again at the next start: %s", error)

    def _take(self, patience_ms: int) -> list[_Waiting | _Order]:
        """Whatever has piled up; waits for the first."""
        try:
            items: list[_Waiting | _Order] = [self._queue.get(timeout=patience_ms / 1000)]
        except queue.Empty:
            return []
        while not self._queue.empty():
            items.append(self._queue.get_nowait())
        return items

    def _work(self, items: list[_Waiting | _Order]) -> None:
        waiting = [item for item in items if isinstance(item, _Waiting)]
        error: NodescoreError | None = None
        try:
            if waiting:
                self._pipeline.commit([item.batch for item in waiting], self.now_ms())
                self._commit_fault = ""
        except StoreUnavailable as fault:
            error = fault
            self._commit_fault = str(fault)
        except Exception:
            self._turn_away(items)
            raise
        for one in waiting:
            one.answer(error)
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

    def _turn_away(self, items: list[_Waiting | _Order]) -> None:
        """Answer those whom nobody will serve any more."""
        for item in items:
            if isinstance(item, _Waiting):
                item.answer(Unavailable("Nodescore is stopping", retry_after_seconds=1))
            elif not item.done.done():
                item.done.set_exception(Unavailable("Nodescore is stopping", retry_after_seconds=1))

    def _flush(self, now_ms: int) -> None:
        try:
            self._pipeline.flush(now_ms)
            self._pipeline.keep_house(now_ms)
            self._measure_outbox(now_ms)
            self._fault = ""
        except StoreUnavailable as error:
            if str(error) != self._fault:
                log.warning("%s", error)
            self._fault = str(error)

    def _pass_on(self) -> None:
        if self._outbox is not None:
            self._outbox.run(self._stopping, self.now_ms)

    def _measure_outbox(self, now_ms: int) -> None:
        if self._outbox is None:
            return
        lag, metrics = self._outbox.lag, self.exposition.metrics
        metrics.outbox_rows.set(lag.rows_waiting)
        metrics.outbox_age_seconds.set(0 if lag.oldest_ms is None else max(0, now_ms - lag.oldest_ms) / 1000)
        metrics.outbox_success.set(lag.success_ms / 1000)


def _reason(check: Callable[[], None]) -> str:
    """Why a check fails; "" where it does not."""
    try:
        check()
    except Unavailable as error:
        return str(error)
    return ""


def _outbox(settings: Settings, catalogue: Catalogue) -> Outbox | None:
    if settings.store is None:
        return None
    from receiver.store.timescale import TimescaleStore

    dsn = settings.store.get_secret_value()
    return Outbox(
        settings.embedded_path,
        catalogue,
        lambda: TimescaleStore.connect(dsn, catalogue, settings.retention_days),
        keep_ms=LOCAL_HISTORY_MS,
        retention_ms=int(settings.retention_days * 86_400_000),
    )


def _answer_on(loop: asyncio.AbstractEventLoop, done: asyncio.Future[None]) -> Callable[[NodescoreError | None], None]:
    """Answers a future of `loop` from another thread."""

    def settle(error: NodescoreError | None) -> None:
        if done.cancelled():  # the sender has hung up
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def answer(error: NodescoreError | None) -> None:
        loop.call_soon_threadsafe(settle, error)

    return answer
