"""What a pipeline has after a restart: everything that it had before.

`recover` brings back the known series, the detector's states, the counters' last values and the open rows. The journal
keeps its records for a while after their rows are stored: replaying that tail rebuilds the last two. The states are
stepped on from their last checkpoint over the rows stored since; those of a model that has none, as in a `Learner`.

In: a pipeline that has done nothing yet. Raises `StoreUnavailable` and `StoreDamaged`. Costs 25 µs a series, and for
each record of the journal's tail and each row since the checkpoint what it cost at first.

A replay knows less than its first life did of what was before the journal's tail, so it gives stored rows nothing but
what the journal had not seen consumed. So a stored row that lacks a feature may lack it for good, where a new series
that would have completed it came just before a crash.
"""

from __future__ import annotations

import logging
from contextlib import closing

import numpy as np

from receiver.columns import Int64, Rows
from receiver.detector import Snapshot
from receiver.housekeeping import CHECKPOINT_SECONDS
from receiver.learner import Learner
from receiver.pipeline import Pipeline
from receiver.rows import Departure

# Rows that came after states were saved are stepped again, back to so long ago: more than a service leaves behind.
CATCH_UP_SECONDS = 3600
# Damaged records that the log names; all are counted.
DAMAGE_NAMED = 100

log = logging.getLogger(__name__)


def recover(pipeline: Pipeline, now_ms: int) -> None:
    """Take up where the last process stopped. Call it once, before anything else, when both clocks agree."""
    store, table = pipeline.store, pipeline.table
    table.restore(store.nodes(), ((series.id, series.labels) for series in store.journal.series()))
    pipeline.assembler.know_all()
    _restore_states(pipeline, now_ms)
    _replay(pipeline, now_ms)
    pipeline.metrics.journal_damaged.inc(len(store.damage))
    for text in store.damage[:DAMAGE_NAMED]:
        log.warning("left out: %s", text)


def _restore_states(pipeline: Pipeline, now_ms: int) -> None:
    version = pipeline.states.detector.info.version
    saved = pipeline.store.load_states(version) if pipeline.store.last_model() == version else None
    if saved is None:
        _learn(pipeline, now_ms)
        return
    pipeline.states.restore(Snapshot(saved.model_version, saved.node, saved.time_ms, saved.state))
    seen_ms = int(saved.time_ms.max()) - 2 * CHECKPOINT_SECONDS * 1000
    exposed_ms = now_ms - int(pipeline.settings.staleness_seconds * 1000)
    since_ms = max(now_ms - CATCH_UP_SECONDS * 1000, min(seen_ms, exposed_ms))
    for scores in pipeline.store.read_scores(since_ms, now_ms + 1):
        pipeline.expose(scores)
    for past in pipeline.store.read_scores(since_ms, now_ms + 1):  # of which the states have seen some
        pipeline.expose(pipeline.states.score(past.rows()))


def _learn(pipeline: Pipeline, now_ms: int) -> None:
    """States of a model that has not been in use here, from the stored past."""
    with closing(Learner(pipeline, pipeline.states.detector, now_ms)) as learner:
        more = True
        while more:
            more, _, scores = learner.step()
            pipeline.expose(scores)
    pipeline.states = learner.states


def _replay(pipeline: Pipeline, now_ms: int) -> None:
    """Make rows of the journal, by a clock that goes as its records came, but without the time between lives."""
    store, settings, assembler = pipeline.store, pipeline.settings, pipeline.assembler
    stored_until = np.zeros(pipeline.table.next_node, np.int64)
    for node, time_ms in store.last_row_ms().items():
        stored_until[node] = time_ms
    deadline_ms = int(settings.assembly_deadline_seconds * 1000)
    rows_last_ms = deadline_ms + int(settings.late_horizon_seconds * 1000)
    consumed_seq = store.consumed_seq
    at_ms = received_ms = doubted_ms = 0
    for seq, record in store.journal.replay():
        at_ms += min(max(record.received_ms - received_ms, 0), deadline_ms)
        if seq > pipeline.newest_seq + 1:  # trimmed, or damaged
            doubted_ms = at_ms + rows_last_ms
        if at_ms < doubted_ms:
            assembler.doubt(seq)
        pipeline.newest_seq, received_ms = seq, record.received_ms
        pipeline.tail.note(seq, at_ms)
        assembler.add(pipeline.table.known(record.samples), seq, at_ms)
        more = True
        while more:
            departure = assembler.depart(at_ms)
            _keep(pipeline, departure, stored_until, consumed_seq)
            pipeline.store_pending()  # a start that is ended in the middle has done its part, and none holds all
            more = departure.more
    pipeline.tail.move(now_ms - at_ms)
    # What a request had left open will be completed by the sender's retries.
    pipeline.assembler.go_on(now_ms, now_ms - at_ms)


def _keep(pipeline: Pipeline, departure: Departure, stored_until: Int64, consumed_seq: int) -> None:
    """Of rows that were stored before, only what the journal had not seen consumed; the others as ever."""
    left, again = departure.rows, departure.again
    new = left.time_ms > stored_until[left.node]
    unseen = again.seq > consumed_seq
    rows = pipeline.features.rows(left)
    scored = rows.where(new)
    remade = rows.where(~new & (left.seq > consumed_seq))
    if len(scored) or len(remade) or unseen.any():
        scores = pipeline.states.score(scored)
        pipeline.expose(scores)
        changed = (remade, pipeline.features.rows(again).where(unseen))
        fill = np.concatenate((np.zeros(len(remade), np.bool_), again.fills[unseen]))
        pipeline.keep(scored, Rows.joined(changed, len(pipeline.catalogue.features)), fill, scores)
