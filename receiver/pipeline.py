"""The whole way from a request's bytes to an exposed score, on one page and without a framework or a thread.

    decode    bytes → kept samples
    commit    samples → journal, synced → open rows
    flush     rows that can leave → features → scores → exposed, stored
    keep_house   journal trimmed, states saved, old rows deleted, model file watched

One thread calls all of these.

In: bodies, headers and the time. Requests and old rows are judged by the wall clock, `wall_ms`. All that waits or is
held goes by `now_ms`, a clock that must not step when the other one is set, or rows would leave early.
Raises `RequestError` (400…415) and `Unavailable` (503); a `commit` that returned has everything on disk, and may be
answered 2xx. Costs are those of the stages.

`recover` brings everything back after a restart. The journal keeps its records for a while after their rows are
stored: replaying that tail rebuilds the counters' last values and the open rows, and the detector's states are
stepped on from their last checkpoint over the rows stored since.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from receiver.catalogue import Catalogue
from receiver.columns import Bool, Int64, Rows, Scores
from receiver.detector import Detector, NodeStates, Snapshot, Watch
from receiver.errors import ModelError, StoreUnavailable, Unavailable
from receiver.exposition import Exposition
from receiver.features import Features
from receiver.handover import Handover
from receiver.rows import Assembler, Departure, Room, Tail, Timing
from receiver.series import SeriesTable
from receiver.settings import Settings
from receiver.store import Finished, JournalRecord, NewSeries, States
from receiver.store.embedded import EmbeddedStore
from receiver.store.journal import TRIM_RECORDS
from receiver.wire import Batch, Decoder

# The states of 5,000 nodes take some 20 ms to save; what came after the last save is stepped again at start.
CHECKPOINT_SECONDS = 60
# Trimming, retention and a look at the model's file: a few queries each.
HOUSEKEEPING_SECONDS = 5
# Above this share of the disk budget the oldest rows go, some thousands at a time, before new samples are refused;
# but none that a restart or a new model's states need.
HISTORY_SHARE = 0.9
MIN_HISTORY_SECONDS = 3600
# A journal with less than this of the budget is not what fills it. An hour of 5,000 nodes has 2.3 GB.
JOURNAL_SHARE = 0.25
# While no more is held, whole rows are held for as long as torn ones (20 MB). A Prometheus whose connections are torn
# apart has no more under way than 10,000 samples on each: its queue is full then, and all of them wait.
SPARE_SAMPLES = 1_000_000
# Of `max_open_samples`, for torn rows: the others must have room when one connection stands still. For 5,000 nodes of
# 34 series it is ten minutes of rows, in 235 MiB.
TORN_SHARE = 0.75
# Series are forgotten after this much silence: a rollout that changes a label leaves a generation of them behind.
# Longer than any row is held.
IDLE_SERIES_SECONDS = 6 * 3600
# The journal is trimmed by its numbers alone.
ANY_TIME = 2**63 - 1
# Damaged records that the log names; all are counted.
DAMAGE_NAMED = 100
# States of a model that has none saved are warmed on this much of the stored past.
WARM_UP_SECONDS = 3600

log = logging.getLogger(__name__)


class Pipeline:
    """Every stage of one service, wired."""

    def __init__(
        self,
        settings: Settings,
        catalogue: Catalogue,
        store: EmbeddedStore,
        detector: Detector,
        exposition: Exposition,
        handover: Handover | None = None,
    ) -> None:
        self.settings = settings
        self.catalogue = catalogue
        self.store = store
        self.exposition = exposition
        self.handover = handover
        self.metrics = exposition.metrics
        self.table = SeriesTable(catalogue, settings.max_series, settings.max_nodes)
        self.decoder = Decoder(self.table, settings.max_sample_age_seconds)
        self.assembler = Assembler(
            self.table,
            len(catalogue.terms),
            Timing(
                deadline_ms=int(settings.assembly_deadline_seconds * 1000),
                late_horizon_ms=int(settings.late_horizon_seconds * 1000),
                max_rate_gap_ms=int(settings.max_rate_gap_seconds * 1000),
            ),
            Room(SPARE_SAMPLES, int(TORN_SHARE * settings.max_open_samples)),
        )
        self.tail = Tail()
        self.features = Features(catalogue)
        self.states = NodeStates(detector)
        self.watch = Watch(detector, catalogue.feature_names)
        self.model_fault = ""
        self._newest_seq = 0
        self._unstored: list[Finished] = []
        self._checkpoint_ms = 0
        self._housekeeping_ms = 0
        self._forgot_ms = 0
        self._store_bytes = 0
        self._fail_overs = 0

    def decode(self, body: bytes, headers: Mapping[str, str], wall_ms: int) -> Batch:
        """The kept samples of a request. `headers` has lower-case names."""
        self.check_room()
        batch = self.decoder.decode(body, headers, wall_ms)
        metrics, kept = self.metrics, len(batch.samples)
        metrics.received_bytes.inc(len(body))
        metrics.samples_received.inc(batch.written.samples)
        metrics.samples_unwanted.inc(batch.written.samples - kept - batch.duplicates)
        metrics.samples_duplicate.inc(batch.duplicates)
        metrics.histograms_received.inc(batch.written.histograms)
        metrics.exemplars_received.inc(batch.written.exemplars)
        for fault, count in batch.invalid.items():
            metrics.invalid[fault].inc(count)
        return batch

    def commit(self, batches: Sequence[Batch], now_ms: int) -> None:
        """Write batches to the journal, together, and put their samples into rows."""
        records = [JournalRecord(now_ms, batch.samples) for batch in batches if len(batch.samples)]
        if not records:
            return
        series, nodes = self.table.new()
        numbers = self.store.append(records, [NewSeries(id_, labels) for id_, labels in series.items()], nodes)
        self.table.written(series, nodes)
        self.metrics.samples_kept.inc(sum(len(record.samples) for record in records))
        for seq, record in zip(numbers, records, strict=True):
            self._newest_seq = seq
            self.assembler.add(record.samples, seq, now_ms)

    def ingest(self, body: bytes, headers: Mapping[str, str], now_ms: int) -> Batch:
        """Decode and commit one request, where both clocks agree."""
        batch = self.decode(body, headers, now_ms)
        self.commit([batch], now_ms)
        return batch

    def flush(self, now_ms: int) -> int:
        """Move on every row that can leave; how many were scored. Raises `StoreUnavailable`: call it again."""
        self._store_pending()
        scored, more = 0, True
        while more:
            departure = self.assembler.depart(now_ms)
            scored += self._move_on(departure, now_ms)
            more = departure.more
        return scored

    def recover(self, now_ms: int) -> None:
        """Take up where the last process stopped. Call it once, before anything else, when both clocks agree."""
        self._forgot_ms = now_ms
        self.table.restore(self.store.nodes(), ((series.id, series.labels) for series in self.store.series()))
        self.assembler.know_all()
        self._restore_states(now_ms)
        self._replay(now_ms)
        self.metrics.journal_damaged.inc(len(self.store.damage))
        for text in self.store.damage[:DAMAGE_NAMED]:
            log.warning("left out: %s", text)
        # What a request had left open will be completed by the sender's retries.
        self.assembler.restart_waiting(now_ms)
        self._store_pending()

    def keep_house(self, now_ms: int, wall_ms: int) -> None:
        """Everything that need not happen at every flush; cheap when it is not due."""
        if not _due(self._housekeeping_ms, HOUSEKEEPING_SECONDS, now_ms):
            return
        self._housekeeping_ms = now_ms
        if _due(self._checkpoint_ms, CHECKPOINT_SECONDS, now_ms):
            self.checkpoint(now_ms)
        self._trim_journal(now_ms)
        self._make_room(now_ms, wall_ms)
        self._store_bytes = self.store.size_bytes()
        if _due(self._forgot_ms, IDLE_SERIES_SECONDS, now_ms):
            self._forget_idle_series(now_ms)
        try:
            detector = self.watch.poll()
        except ModelError as error:
            self.model_fault = str(error)
            self.metrics.model_load_failures.inc()
        else:
            if detector is not None:
                self.use(detector, wall_ms)
        self._measure()

    def use(self, detector: Detector, wall_ms: int) -> None:
        """Go on with another model, its states warmed on the stored past; nothing changes where it is the same."""
        if detector.info.sha256 != self.states.detector.info.sha256:
            states = NodeStates(detector)
            for past in self._past(wall_ms - WARM_UP_SECONDS * 1000, wall_ms):
                states.score(past)
            self.states = states
            self.watch = Watch(detector, self.catalogue.feature_names)
        self.model_fault = ""

    def checkpoint(self, now_ms: int) -> None:
        """Save the detector's states."""
        states = self.states.snapshot()
        self.store.save_states(States(states.model_version, states.node, states.time_ms, states.state))
        self._checkpoint_ms = now_ms

    def check_room(self) -> None:
        """Raise `Unavailable` where no more samples can be taken now."""
        if self.assembler.held_samples > self.settings.max_open_samples:
            raise Unavailable(f"over {self.settings.max_open_samples} samples wait in rows (max_open_samples)")
        if self._store_bytes > self.settings.max_disk_bytes:
            raise StoreUnavailable(
                f"the embedded store has {self._store_bytes} bytes, over max_disk_bytes = "
                f"{self.settings.max_disk_bytes}",
                retry_after_seconds=2 * HOUSEKEEPING_SECONDS,
            )

    def _make_room(self, now_ms: int, wall_ms: int) -> None:
        """Delete old rows; where none are left and the journal takes the room, give up the rows that it is kept for."""
        settings = self.settings
        nearly_full = self._store_bytes > HISTORY_SHARE * settings.max_disk_bytes
        gone = 0
        if settings.store is None:  # else the outbox deletes what it has passed on
            gone = self.store.delete_before(wall_ms - int(settings.retention_days * 86_400_000))
            if nearly_full:
                gone += self.store.delete_before(wall_ms - MIN_HISTORY_SECONDS * 1000)
        if nearly_full and not gone and self.store.journal.bytes > JOURNAL_SHARE * settings.max_disk_bytes:
            self.metrics.rows_given_up["disk"].inc(self.assembler.let_go(now_ms).for_room)

    def _trim_journal(self, now_ms: int) -> None:
        """Keep what a restart needs: of rows that are held, and from before them who is live and what was last."""
        self.tail.note(self._newest_seq, now_ms)
        settings = self.settings
        before = settings.assembly_deadline_seconds + settings.late_horizon_seconds + settings.max_rate_gap_seconds
        needed_seq = self.assembler.needed_seq(self._newest_seq)
        done_seq = min(self.store.consumed_seq, self.tail.unneeded(needed_seq, int(before * 1000)))
        while self.store.trim(done_seq, ANY_TIME) == TRIM_RECORDS:
            pass

    def _forget_idle_series(self, now_ms: int) -> None:
        gone = self.assembler.idle(now_ms - IDLE_SERIES_SECONDS * 1000)
        self.store.forget_series(gone)
        self.table.forget(set(gone))
        self.decoder.forget(gone)
        self.assembler.forget(gone)
        self._forgot_ms = now_ms

    def _move_on(self, departure: Departure, now_ms: int) -> int:
        """Score, expose and store rows; how many were scored."""
        left, again = departure.rows, departure.again
        self.metrics.rows_given_up["age"].inc(departure.given_up.for_age)
        self.metrics.rows_given_up["room"].inc(departure.given_up.for_room)
        if not (len(left.node) or len(again.node)):
            return 0
        began = time.perf_counter()
        rows = self.features.rows(left)
        if self.handover is not None:
            self.handover.take_over(self.states, rows, self.table.nodes, now_ms)
        scores = self.states.score(rows)
        self.metrics.scoring_seconds.observe(time.perf_counter() - began)
        self._expose(scores)
        self._count(departure, len(scores))
        self._keep(rows, self.features.rows(again), again.fills, scores)
        self._store_pending()
        self.metrics.flush_seconds.observe(time.perf_counter() - began)
        return len(scores)

    def _keep(self, rows: Rows, again: Rows, fill: Bool, scores: Scores) -> None:
        version = self.states.detector.info.version
        consumed_seq = self.assembler.consumed_seq(self._newest_seq)
        fills = again  # none, mostly
        if len(again):
            rows = Rows.joined((rows, again.where(~fill)), len(self.catalogue.features))
            fills = again.where(fill)
        self._unstored.append(Finished(rows, fills, scores, version, consumed_seq))

    def _store_pending(self) -> None:
        while self._unstored:
            self.store.write(self._unstored[0])
            del self._unstored[0]

    def _replay(self, now_ms: int) -> None:
        """Make rows of the journal, by a clock that goes as its records came, but without the time between lives."""
        stored_until = np.zeros(len(self.table.nodes), np.int64)
        for node, time_ms in self.store.last_row_ms().items():
            stored_until[node] = time_ms
        deadline_ms = int(self.settings.assembly_deadline_seconds * 1000)
        rows_last_ms = deadline_ms + int(self.settings.late_horizon_seconds * 1000)
        consumed_seq = self.store.consumed_seq
        at_ms = received_ms = doubted_ms = 0
        for seq, record in self.store.replay():
            at_ms += min(max(record.received_ms - received_ms, 0), deadline_ms)
            if seq > self._newest_seq + 1:  # trimmed, or damaged
                doubted_ms = at_ms + rows_last_ms
            if at_ms < doubted_ms:
                self.assembler.doubt(seq)
            self._newest_seq, received_ms = seq, record.received_ms
            self.tail.note(seq, at_ms)
            self.assembler.add(self.table.known(record.samples), seq, at_ms)
            more = True
            while more:
                departure = self.assembler.depart(at_ms)
                self._recover_rows(departure, stored_until, consumed_seq)
                more = departure.more
        self.tail.move(now_ms - at_ms)

    def _recover_rows(self, departure: Departure, stored_until: Int64, consumed_seq: int) -> None:
        """Of rows that were stored before, only what the journal had not seen consumed; the others as ever."""
        left, again = departure.rows, departure.again
        new = left.time_ms > stored_until[left.node]
        unseen = again.seq > consumed_seq
        rows = self.features.rows(left)
        scored = rows.where(new)
        remade = rows.where(~new & (left.seq > consumed_seq))
        if len(scored) or len(remade) or unseen.any():
            scores = self.states.score(scored)
            self._expose(scores)
            again_rows = Rows.joined((remade, self.features.rows(again).where(unseen)), len(self.catalogue.features))
            fill = np.concatenate((np.zeros(len(remade), np.bool_), again.fills[unseen]))
            self._keep(scored, again_rows, fill, scores)

    def _restore_states(self, now_ms: int) -> None:
        saved = self.store.load_states(self.states.detector.info.version)
        since_ms = now_ms - WARM_UP_SECONDS * 1000
        if saved is not None:
            self.states.restore(Snapshot(saved.model_version, saved.node, saved.time_ms, saved.state))
            seen_ms = int(saved.time_ms.max()) - 2 * CHECKPOINT_SECONDS * 1000
            exposed_ms = now_ms - int(self.settings.staleness_seconds * 1000)
            since_ms = max(since_ms, min(seen_ms, exposed_ms))
        self._warm(since_ms, now_ms)

    def _warm(self, since_ms: int, now_ms: int) -> None:
        """Expose the scores of the stored past, and step the states over the rows that they have not seen."""
        for past in self.store.read_scores(since_ms, now_ms + 1):
            self._expose(past)
        for rows in self._past(since_ms, now_ms):
            self._expose(self.states.score(rows))

    def _past(self, since_ms: int, now_ms: int) -> Iterator[Rows]:
        """Stored rows as the detector saw them."""
        raw = np.full(len(self.catalogue.features), np.nan)
        for past in self.store.read_scores(since_ms, now_ms + 1):
            yield Rows(past.node, past.time_ms, np.broadcast_to(raw, past.x.shape), past.x)

    def _expose(self, scores: Scores) -> None:
        info = self.states.detector.info
        self.exposition.update(self.table.nodes, scores, info.version, info.detector)

    def _count(self, departure: Departure, scored: int) -> None:
        incomplete = int(np.count_nonzero(departure.rows.incomplete))
        fills = int(np.count_nonzero(departure.again.fills))
        rows = self.metrics.rows
        rows["complete"].inc(len(departure.rows.node) - incomplete)
        rows["incomplete"].inc(incomplete)
        rows["remade"].inc(len(departure.again.node) - fills)
        rows["filled"].inc(fills)
        self.metrics.rows_scored.inc(scored)

    def _measure(self) -> None:
        metrics = self.metrics
        metrics.series.set(len(self.table))
        metrics.nodes.set(self.table.live_nodes)
        metrics.open_rows.set(self.assembler.open_rows)
        metrics.open_samples.set(self.assembler.held_samples)
        replicas = self.decoder.known.replicas
        metrics.fail_overs.inc(replicas.fail_overs - self._fail_overs)
        self._fail_overs = replicas.fail_overs
        metrics.replica_elected.clear()
        for replica_set, replica in replicas.elected():
            metrics.replica_elected.labels("/".join(filter(None, replica_set)), replica).set(1)
        metrics.journal_bytes.set(self.store.journal.bytes)
        metrics.journal_records.set(self.store.journal.records)
        metrics.store_bytes.set(self._store_bytes)


def _due(last_ms: int, every_seconds: float, now_ms: int) -> bool:
    """Whether it is time again."""
    return now_ms - last_ms >= every_seconds * 1000
