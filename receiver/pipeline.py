"""The whole way from a request's bytes to an exposed score, on one page and without a framework or a thread.

    decode    bytes → kept samples
    commit    samples → journal, synced → open rows
    flush     rows that can leave → features → scores → exposed, stored; block by block with `flush_block`

`receiver.recovery` brings everything back before the first of these, `receiver.housekeeping` keeps it in bounds
between them. One thread calls all of it.

In: bodies, headers and the time. Requests and old rows are judged by the wall clock, `wall_ms`. All that waits or is
held goes by `now_ms`, a clock that must not step when the other one is set, or rows would leave early.
Raises `RequestError` (400…415) and `Unavailable` (503); a `commit` that returned has everything on disk, and may be
answered 2xx. Costs are those of the stages.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np

from receiver.catalogue import Catalogue
from receiver.columns import Bool, Rows, Scores
from receiver.detector import Detector, NodeStates, Snapshot
from receiver.drift import Drift
from receiver.errors import StoreUnavailable, Unavailable
from receiver.exposition import Exposition
from receiver.features import Features
from receiver.handover import Handover
from receiver.rows import Assembler, Departure, Room, Tail, Timing
from receiver.series import SeriesTable
from receiver.settings import Settings
from receiver.store import Finished, JournalRecord, NewSeries, States
from receiver.store.embedded import EmbeddedStore
from receiver.wire import Batch, Decoder

# While no more is held, whole rows are held for as long as torn ones (20 MB). A Prometheus whose connections are torn
# apart has no more under way than 10,000 samples on each: its queue is full then, and all of them wait.
SPARE_SAMPLES = 1_000_000
# Of `max_open_samples`, for torn rows: the others must have room when one connection stands still. For 5,000 nodes of
# 34 series it is ten minutes of rows, in 235 MiB.
TORN_SHARE = 0.75
# What a sender is told to wait when the file is over its budget: two rounds of housekeeping, which delete old rows.
FULL_RETRY_SECONDS = 10


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
        self.drift = Drift(detector.info)
        self.learnt_since_ms: dict[int, int] = {}  # of nodes that were learnt anew
        self.newest_seq = 0
        self.store_bytes = 0  # when it was measured last
        self._unstored: list[Finished] = []

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
        kept = [batch.samples for batch in batches if len(batch.samples)]
        if not kept:
            return
        records = [JournalRecord(now_ms, self.table.numbered(samples)) for samples in kept]
        series, nodes = self.table.new()
        numbers = self.store.append(records, [NewSeries(id_, labels) for id_, labels in series.items()], nodes)
        self.table.written(series, nodes)
        self.metrics.samples_kept.inc(sum(map(len, kept)))
        for seq, samples in zip(numbers, kept, strict=True):
            self.newest_seq = seq
            self.assembler.add(samples, seq, now_ms)

    def ingest(self, body: bytes, headers: Mapping[str, str], now_ms: int) -> Batch:
        """Decode and commit one request, where both clocks agree."""
        batch = self.decode(body, headers, now_ms)
        self.commit([batch], now_ms)
        return batch

    def flush(self, now_ms: int) -> int:
        """Move on every row that can leave; how many were scored. Raises `StoreUnavailable`: call it again."""
        scored, more = 0, True
        while more:
            of_block, more = self.flush_block(now_ms)
            scored += of_block
        return scored

    def flush_block(self, now_ms: int) -> tuple[int, bool]:
        """The same for some rows of each node; how many were scored, and whether there are more."""
        self.store_pending()
        departure = self.assembler.depart(now_ms)
        return self._move_on(departure, now_ms), departure.more

    def go_on_with(self, states: NodeStates, drift: Drift) -> None:
        """Score with another model from now on, whose states are where ours are."""
        self.states, self.drift = states, drift
        self.metrics.model_changes.inc()
        self.expose(Scores.empty(len(self.catalogue.features)))

    def learn_anew(self, node: int, since_ms: int, learnt: Snapshot, scores: Scores) -> None:
        """Forget what was usual on a node, and go on with the state, and show the scores, of its rows since then."""
        self.states.forget(node)
        self.states.restore(learnt)
        self.learnt_since_ms[node] = since_ms
        self.expose(scores)

    def checkpoint(self) -> None:
        """Save the detector's states."""
        states = self.states.snapshot()
        self.store.save_states(States(states.model_version, states.node, states.time_ms, states.state))

    def check_room(self) -> None:
        """Raise `Unavailable` where no more samples can be taken now."""
        if self.assembler.held_samples > self.settings.max_open_samples:
            raise Unavailable(f"over {self.settings.max_open_samples} samples wait in rows (max_open_samples)")
        if self.store_bytes > self.settings.max_disk_bytes:
            raise StoreUnavailable(
                f"the embedded store has {self.store_bytes} bytes, over max_disk_bytes = "
                f"{self.settings.max_disk_bytes}",
                retry_after_seconds=FULL_RETRY_SECONDS,
            )

    def keep(self, rows: Rows, again: Rows, fill: Bool, scores: Scores) -> None:
        """Have rows, those that are written again, and scores stored by the next `store_pending`."""
        version = self.states.detector.info.version
        consumed_seq = self.assembler.consumed_seq(self.newest_seq)
        fills = again  # none, mostly
        if len(again):
            rows = Rows.joined((rows, again.where(~fill)), len(self.catalogue.features))
            fills = again.where(fill)
        self._unstored.append(Finished(rows, fills, scores, version, consumed_seq))

    def store_pending(self) -> None:
        """Store what is to be stored; what raises is stored by the next call."""
        while self._unstored:
            self.store.write(self._unstored[0])
            del self._unstored[0]

    def expose(self, scores: Scores) -> None:
        """Show scores that are newer than what is shown."""
        info = self.states.detector.info
        self.exposition.update(self.table.nodes, scores, info.version, info.detector)

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
        self.drift.count(rows.x)
        self.expose(scores)
        self._count(departure, len(scores))
        self.keep(rows, self.features.rows(again), again.fills, scores)
        self.store_pending()
        self.metrics.flush_seconds.observe(time.perf_counter() - began)
        return len(scores)

    def _count(self, departure: Departure, scored: int) -> None:
        incomplete = int(np.count_nonzero(departure.rows.incomplete))
        fills = int(np.count_nonzero(departure.again.fills))
        rows = self.metrics.rows
        rows["complete"].inc(len(departure.rows.node) - incomplete)
        rows["incomplete"].inc(incomplete)
        rows["remade"].inc(len(departure.again.node) - fills)
        rows["filled"].inc(fills)
        self.metrics.rows_scored.inc(scored)
