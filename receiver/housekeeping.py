"""What keeps a running pipeline in bounds and need not happen at every flush.

The detector's states are saved, the journal is trimmed, old rows are deleted, series that have fallen silent, states
of nodes that are silent for days, and names of which nothing is left are forgotten, and the gauges are set. Cheap when
nothing is due: a comparison; else some queries, and 20 ms a minute for the states of 5,000 nodes. Raises
`StoreUnavailable`.
"""

from __future__ import annotations

import shutil
from contextlib import suppress

from receiver.pipeline import Pipeline
from receiver.rows import TORN_HORIZON_MS
from receiver.store.embedded.journal import TRIM_RECORDS

# Trimming and retention: a few queries each.
HOUSEKEEPING_SECONDS = 5
# What came after the last save is stepped again at start.
CHECKPOINT_SECONDS = 60
# Above this share of the disk budget the oldest rows go, some thousands at a time, before new samples are refused;
# but none that a restart or a new model's states need.
HISTORY_SHARE = 0.9
MIN_HISTORY_SECONDS = 3600
# A journal with less than this of the budget is not what fills it. An hour of 5,000 nodes has 2.3 GB.
JOURNAL_SHARE = 0.25
# Series are forgotten after this much silence: a rollout that changes a label leaves a generation of them behind.
# Longer than any row is held.
IDLE_SERIES_SECONDS = 6 * 3600
# The journal is trimmed by its numbers alone.
ANY_TIME = 2**63 - 1


class Housekeeping:
    """Of one pipeline, from `now_ms` on."""

    def __init__(self, pipeline: Pipeline, now_ms: int) -> None:
        self._pipeline = pipeline
        self._kept_ms = 0
        self._saved_ms = 0
        self._forgot_ms = now_ms
        self._fail_overs = 0

    def keep(self, now_ms: int, wall_ms: int) -> None:
        """Do what is due."""
        if not _due(self._kept_ms, HOUSEKEEPING_SECONDS, now_ms):
            return
        pipeline = self._pipeline
        if self._kept_ms:
            pipeline.drift.fade((now_ms - self._kept_ms) / 1000)
        self._kept_ms = now_ms
        if _due(self._saved_ms, CHECKPOINT_SECONDS, now_ms):
            pipeline.checkpoint()
            self._saved_ms = now_ms
        self._trim_journal(now_ms)
        self._make_room(now_ms, wall_ms)
        pipeline.store_bytes = pipeline.store.size_bytes()
        if _due(self._forgot_ms, IDLE_SERIES_SECONDS, now_ms):
            self._forget_idle_series(now_ms)
            self._forget_names()
            pipeline.store.forget_states(pipeline.states.forget_silent(wall_ms))
            self._forgot_ms = now_ms
        self._measure()

    def _trim_journal(self, now_ms: int) -> None:
        """Keep what a restart needs: of rows that are held, and from before them who is live and what was last."""
        pipeline, settings = self._pipeline, self._pipeline.settings
        pipeline.tail.note(pipeline.newest_seq, now_ms)
        before = settings.assembly_deadline_seconds + settings.late_horizon_seconds + settings.max_rate_gap_seconds
        # A series that has fallen silent without a marker is known of for as long as a row could be held for it.
        silent_since_ms = now_ms if self._journal_fills_disk() else now_ms - TORN_HORIZON_MS
        needed_seq = pipeline.assembler.needed_seq(pipeline.newest_seq, silent_since_ms)
        done_seq = min(pipeline.store.consumed_seq, pipeline.tail.unneeded(needed_seq, int(before * 1000)))
        while pipeline.store.journal.trim(done_seq, ANY_TIME) == TRIM_RECORDS:
            pass

    def _make_room(self, now_ms: int, wall_ms: int) -> None:
        """Delete old rows; where none are left and the journal takes the room, give up the rows that it is kept for."""
        store, settings = self._pipeline.store, self._pipeline.settings
        gone = 0
        if settings.store is None:  # else the outbox deletes what it has passed on
            gone = store.delete_before(wall_ms - int(settings.retention_days * 86_400_000))
            if self._nearly_full():
                gone += store.delete_before(wall_ms - MIN_HISTORY_SECONDS * 1000)
        if not gone and self._journal_fills_disk():
            given_up = self._pipeline.assembler.let_go(now_ms)
            self._pipeline.metrics.rows_given_up["disk"].inc(given_up.for_room)

    def _nearly_full(self) -> bool:
        return self._pipeline.store_bytes > HISTORY_SHARE * self._pipeline.settings.max_disk_bytes

    def _journal_fills_disk(self) -> bool:
        budget_bytes = self._pipeline.settings.max_disk_bytes
        return self._nearly_full() and self._pipeline.store.journal.bytes > JOURNAL_SHARE * budget_bytes

    def _forget_idle_series(self, now_ms: int) -> None:
        pipeline = self._pipeline
        gone = pipeline.assembler.idle(now_ms - IDLE_SERIES_SECONDS * 1000)
        pipeline.store.journal.forget_series(pipeline.table.number[gone].tolist())
        pipeline.decoder.forget(gone)
        pipeline.table.forget(set(gone), pipeline.assembler.forget(gone))

    def _forget_names(self) -> None:
        """Of nodes of which nothing is left. Those whose states go now are among them the next time.

        So the outbox, which may have one of these in its hands, finds its name.
        """
        pipeline = self._pipeline
        gone = pipeline.store.forget_nodes(pipeline.table.silent_nodes())
        pipeline.table.forget_nodes(gone)
        pipeline.exposition.forget(gone)

    def _measure(self) -> None:
        pipeline, metrics = self._pipeline, self._pipeline.metrics
        metrics.series.set(len(pipeline.table))
        metrics.nodes.set(pipeline.table.live_nodes)
        metrics.open_rows.set(pipeline.assembler.open_rows)
        metrics.open_samples.set(pipeline.assembler.held_samples)
        replicas = pipeline.decoder.known.replicas
        metrics.fail_overs.inc(replicas.fail_overs - self._fail_overs)
        self._fail_overs = replicas.fail_overs
        metrics.replica_elected.clear()
        for replica_set, replica in replicas.elected():
            metrics.replica_elected.labels("/".join(filter(None, replica_set)), replica).set(1)
        metrics.feature_drift.clear()
        for feature, index in pipeline.drift.indices().items():
            metrics.feature_drift.labels(feature).set(index)
        metrics.journal_bytes.set(pipeline.store.journal.bytes)
        metrics.journal_records.set(pipeline.store.journal.records)
        metrics.store_bytes.set(pipeline.store_bytes)
        metrics.disk_budget_bytes.set(pipeline.settings.max_disk_bytes)
        with suppress(OSError):  # where the folder is gone, the store says so
            metrics.disk_free_bytes.set(shutil.disk_usage(pipeline.settings.data_dir).free)


def _due(last_ms: int, every_seconds: float, now_ms: int) -> bool:
    """Whether it is time again."""
    return now_ms - last_ms >= every_seconds * 1000
