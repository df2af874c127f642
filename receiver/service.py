"""One running Nodescore, as a web server sees it.

`start` and `stop` frame everything: the store, the pipeline on its thread (`worker`, which takes the requests), a
thread that looks for another model, one that looks for mutes, one that learns what labels call normal, one that trains
anew, and, where a TimescaleDB is configured, one that passes rows on to it. A service that was stopped in order replays
nothing twice. Raises `SettingsError`, and what opening the store raises; the rest is each method's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from receiver import __version__, registry
from receiver.catalogue import Catalogue
from receiver.changeover import Changeover
from receiver.clocks import Clocks
from receiver.columns import Scores
from receiver.detector import Detector, Watch
from receiver.errors import ModelError, Unavailable
from receiver.exposition import Exposition, Metrics, Snapshot
from receiver.feedback import Feedback
from receiver.follower import Follower
from receiver.handover import Handover
from receiver.health import Component
from receiver.muting import Mutes
from receiver.pipeline import Pipeline
from receiver.recovery import recover
from receiver.relearning import Relearning
from receiver.retraining import STOP_SECONDS as RETRAINING_STOP_SECONDS
from receiver.retraining import Retraining
from receiver.settings import Settings, SettingsError
from receiver.shadow import Shadow
from receiver.store import Activation, RowReader, Shadowing
from receiver.store.embedded import EmbeddedReader, EmbeddedStore
from receiver.store.outbox import Outbox
from receiver.worker import Worker

# What has been passed on stays here for the page's charts and for warming a new model's states.
LOCAL_HISTORY_MS = 3_600_000
# A block that is on its way to TimescaleDB when the service stops; cut off, it is passed on again at the next start.
OUTBOX_STOP_SECONDS = 10
# A block that a new model learns from, or a query for what is active.
CHANGEOVER_STOP_SECONDS = 2
# A query for what others have muted.
MUTES_STOP_SECONDS = 2
# A query for what has been called normal, or an hour of a node's rows.
RELEARNING_STOP_SECONDS = 2
# A flush with nodes that another replica may have had waits so long for the database that knows.
HANDOVER_SECONDS = 2
# Somebody waits for a page; a search for the highest score of a week may take some of it.
FEEDBACK_SECONDS = 10


class Service:
    """The store, the pipeline, its thread and the outbox's."""

    def __init__(
        self, settings: Settings, catalogue: Catalogue, detector: Detector, follower: Follower | None = None
    ) -> None:
        """Start with this model; go on with what `follower` says, or, without one, with what lies in its file."""
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
        self.clocks = Clocks()
        self._path = settings.embedded_path
        try:
            settings.data_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"setting data_dir: {settings.data_dir}: {error.strerror}") from error
        store = EmbeddedStore.open(self._path, catalogue, settings.journal_sync)
        self._outbox, handover = _common_store(settings, catalogue)
        if self._outbox is not None:
            _show_lag(self._outbox, self.exposition.metrics, self.clocks)
        readers = (lambda: EmbeddedReader.open(self._path, catalogue), _common_reader(settings, catalogue))
        self.feedback = Feedback(*readers)
        self.mutes = Mutes(*readers, self.exposition.show_mutes)
        self._pipeline = Pipeline(settings, catalogue, store, detector, self.exposition, handover)
        self.worker = Worker(self._pipeline, self.clocks)
        self._fixed = follower is None
        source = follower or Watch(detector, catalogue.feature_names)
        self._shadow = None if follower is None else Shadow(self._pipeline, follower, self.clocks)
        self._changeover = Changeover(self._pipeline, source, self.worker.order, self.clocks, self._shadow)
        self._changeover_thread = threading.Thread(target=self._changeover.run, name="changeover", daemon=True)
        self._relearning = Relearning(
            self._pipeline, self.worker.order, self._changeover.changing, self.clocks, readers[1]
        )
        self._relearning_thread = threading.Thread(target=self._relearning.run, name="relearning", daemon=True)
        self._mutes_thread = threading.Thread(target=self.mutes.run, args=[self.now_ms], name="mutes", daemon=True)
        self._retraining = Retraining(settings, catalogue, readers[1] or readers[0], self.exposition.metrics)
        self._retraining_thread = threading.Thread(
            target=self._retraining.run, args=[self.now_ms], name="retraining", daemon=True
        )
        self._outbox_stopping = threading.Event()
        self._outbox_thread = threading.Thread(target=self._pass_on, name="outbox", daemon=True)

    def now_ms(self) -> int:
        """The wall clock."""
        return self.clocks.wall_ms()

    def start(self) -> None:
        """Recover, then take requests."""
        recover(self._pipeline, self.now_ms())
        self.worker.start()
        self._changeover_thread.start()
        self._relearning_thread.start()
        self._mutes_thread.start()
        self._retraining_thread.start()
        self._outbox_thread.start()

    def stop(self) -> None:
        """Finish what waits, save the states, close the store."""
        self._changeover.stop()
        self._relearning.stop()
        self.mutes.stop()
        self._retraining.stop()
        self.worker.stop()
        self._outbox_stopping.set()
        self._outbox_thread.join(OUTBOX_STOP_SECONDS)
        self._changeover_thread.join(CHANGEOVER_STOP_SECONDS)
        self._relearning_thread.join(RELEARNING_STOP_SECONDS)
        self._mutes_thread.join(MUTES_STOP_SECONDS)
        self._retraining_thread.join(RETRAINING_STOP_SECONDS)
        if self._pipeline.handover is not None:
            self._pipeline.handover.close()
        self._pipeline.store.close()

    def history(self, since_ms: int, until_ms: int, nodes: Sequence[int]) -> Scores:
        """Scores of these nodes with since ≤ time < until, by time; raises `StoreUnavailable`."""
        reader = EmbeddedReader.open(self._path, self.catalogue)
        try:
            return Scores.joined(list(reader.read_scores(since_ms, until_ms, nodes)), len(self.catalogue.features))
        finally:
            reader.close()

    def reload(self) -> str:
        """Look for another model now; the line to answer. Raises `ConfigurationError`, keeping the one in use."""
        self._changeover.step()
        return f"model {self._pipeline.states.detector.info.version} is in use"

    def models(self) -> list[registry.Listed]:
        """All versions of the model."""
        with registry.opened(self.settings, self.catalogue) as store:
            return registry.listed(store)

    def activations(self) -> list[Activation]:
        """Which version was in use from when on; the last entry's is."""
        with registry.opened(self.settings, self.catalogue) as store:
            return store.activations()

    def activate_model(self, version: str, by: str, reason: str, after_id: int | None = None) -> Activation:
        """Have all replicas go on with this version. Raises `DataError` and `ModelError`."""
        self._check_not_fixed()
        with registry.opened(self.settings, self.catalogue) as store:
            entry = registry.activate(
                store, self.catalogue, version, by=by, reason=reason, now_ms=self.now_ms(), after_id=after_id
            )
        self._changeover.look_now()
        return entry

    def roll_back_model(self, by: str, reason: str, after_id: int | None = None) -> Activation:
        """Have all replicas go back to the version that was active before. Raises as `activate_model`."""
        self._check_not_fixed()
        with registry.opened(self.settings, self.catalogue) as store:
            entry = registry.roll_back(
                store, self.catalogue, by=by, reason=reason, now_ms=self.now_ms(), after_id=after_id
            )
        self._changeover.look_now()
        return entry

    def shadow_model(self, version: str, by: str, reason: str) -> Shadowing:
        """Have all replicas score with this version beside the active one. Raises as `activate_model`."""
        self._check_not_fixed()
        with registry.opened(self.settings, self.catalogue) as store:
            entry = registry.shadow(store, self.catalogue, version, by=by, reason=reason, now_ms=self.now_ms())
        self._changeover.look_now()
        return entry

    def end_shadow(self, version: str, by: str, reason: str) -> Shadowing:
        """Have this version score in the shadow no more. Raises as `activate_model`."""
        self._check_not_fixed()
        with registry.opened(self.settings, self.catalogue) as store:
            entry = registry.end_shadow(store, version, by=by, reason=reason, now_ms=self.now_ms())
        self._changeover.look_now()
        return entry

    def status(self) -> list[Component]:
        """Every part that an operator may have to look after."""
        pipeline = self._pipeline
        info = pipeline.states.detector.info
        fault = self.worker.flush_fault or self.worker.commit_fault or _reason(pipeline.check_room)
        store = Component("store", "down", fault) if fault else Component("store", "ok", str(self._path))
        model = Component("model", "ok", f"{info.detector} {info.version}")
        if self._changeover.fault:
            model = Component("model", "degraded", f"{info.version} stays in use: {self._changeover.fault}")
        components = [store, model]
        if self._shadow is not None and self._shadow.version:
            components.append(Component("shadow", "ok", f"{self._shadow.version} scores beside it"))
        elif self._shadow is not None and self._shadow.fault:
            components.append(Component("shadow", "degraded", self._shadow.fault))
        if self._outbox is None:
            return components
        lag = self._outbox.lag
        waiting = f"{lag.rows_waiting} rows wait here"
        if lag.error:
            return [*components, Component("TimescaleDB", "degraded", f"{lag.error}; {waiting}")]
        return [*components, Component("TimescaleDB", "ok", waiting)]

    def _check_not_fixed(self) -> None:
        if self._fixed:
            path = self._pipeline.states.detector.info.path
            raise ModelError(f"the model of this service is fixed to {path} by the setting model; restart without it")

    def _pass_on(self) -> None:
        if self._outbox is not None:
            self._outbox.run(self._outbox_stopping, self.now_ms)


def _show_lag(outbox: Outbox, metrics: Metrics, clocks: Clocks) -> None:
    """Have it read when it is asked for."""

    def age_seconds() -> float:
        oldest_ms = outbox.lag.oldest_ms
        return 0.0 if oldest_ms is None else max(0, clocks.wall_ms() - oldest_ms) / 1000

    metrics.outbox_rows.set_function(lambda: outbox.lag.rows_waiting)
    metrics.outbox_age_seconds.set_function(age_seconds)
    metrics.outbox_success.set_function(lambda: outbox.lag.success_ms / 1000)


def _reason(check: Callable[[], None]) -> str:
    """Why a check fails; "" where it does not."""
    try:
        check()
    except Unavailable as error:
        return str(error)
    return ""


def _common_reader(settings: Settings, catalogue: Catalogue) -> Callable[[], RowReader] | None:
    """How the pages read a TimescaleDB, where one is configured."""
    if settings.store is None:
        return None
    from receiver.store.timescale import TimescaleStore

    dsn = settings.store.get_secret_value()
    return lambda: TimescaleStore.connect(dsn, catalogue, patience_seconds=FEEDBACK_SECONDS)


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
