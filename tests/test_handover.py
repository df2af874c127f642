"""A node that moves to another replica goes on with its state: two pipelines over one real TimescaleDB."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from receiver.handover import RETRY_MS, STRANGE_AFTER_MS, Handover
from receiver.pipeline import Pipeline
from receiver.store.outbox import Outbox
from receiver.store.timescale import TimescaleStore
from tests.running import CATALOGUE, STEP_MS, running
from tests.wire.requests import HEADERS, NOW_MS, body, series

DAY_MS = 86_400_000


@contextmanager
def replica(folder: Path, dsn: str) -> Iterator[Pipeline]:
    """One of several services on the same database, without its threads."""
    folder.mkdir(exist_ok=True)
    handover = Handover(lambda: TimescaleStore.connect(dsn, CATALOGUE, patience_seconds=2))
    try:
        with running(folder, handover=handover) as pipeline:
            yield pipeline
    finally:
        handover.close()


def scored_rows(pipeline: Pipeline, step: int, node: str = "a") -> int:
    """Send one scrape of a node; how many of its rows have been scored, here and elsewhere."""
    at_ms = NOW_MS + step * STEP_MS
    pipeline.ingest(body(1, [series("node_load1", 1.0, at_ms, node=node)]), HEADERS[1], at_ms)
    assert pipeline.flush(at_ms + 8000) == 1
    snapshot = pipeline.exposition.snapshot
    names = [name.node for name in snapshot.names]
    return round(100 * float(snapshot.score[names.index(node)]))


def pass_on(pipeline: Pipeline, dsn: str, now_ms: int) -> None:
    outbox = Outbox(
        pipeline.store.path, CATALOGUE, lambda: TimescaleStore.connect(dsn, CATALOGUE), 3_600_000, 30 * DAY_MS
    )
    outbox.forward_once(now_ms)
    outbox.close()


def test_a_node_goes_on_where_the_other_replica_has_left_it(tmp_path: Path, timescale_dsn: str) -> None:
    with replica(tmp_path / "a", timescale_dsn) as a, replica(tmp_path / "b", timescale_dsn) as b:
        assert [scored_rows(a, step) for step in range(3)] == [1, 2, 3]
        a.checkpoint()
        assert scored_rows(a, 3) == 4  # after the state was saved, so it is stepped again there
        pass_on(a, timescale_dsn, NOW_MS)
        assert [scored_rows(b, step) for step in (4, 5)] == [5, 6]


def test_a_node_that_comes_back_has_what_was_scored_meanwhile(tmp_path: Path, timescale_dsn: str) -> None:
    away = STRANGE_AFTER_MS // STEP_MS + 1
    with replica(tmp_path / "a", timescale_dsn) as a, replica(tmp_path / "b", timescale_dsn) as b:
        assert scored_rows(a, 0) == 1
        a.checkpoint()
        pass_on(a, timescale_dsn, NOW_MS)
        assert [scored_rows(b, step) for step in range(1, away + 1)][-1] == away + 1
        b.checkpoint()
        pass_on(b, timescale_dsn, NOW_MS)
        assert scored_rows(a, away + 1) == away + 2


def test_a_node_that_nobody_had_begins_anew(tmp_path: Path, timescale_dsn: str) -> None:
    with replica(tmp_path / "a", timescale_dsn) as a, replica(tmp_path / "b", timescale_dsn) as b:
        scored_rows(a, 0)
        a.checkpoint()
        pass_on(a, timescale_dsn, NOW_MS)
        assert scored_rows(b, 1, node="other") == 1


def test_an_older_state_never_replaces_a_newer_one(tmp_path: Path, timescale_dsn: str) -> None:
    with replica(tmp_path / "a", timescale_dsn) as a, replica(tmp_path / "b", timescale_dsn) as b:
        scored_rows(a, 0)
        a.checkpoint()
        pass_on(a, timescale_dsn, NOW_MS)
        scored_rows(b, 1)
        b.checkpoint()
        pass_on(b, timescale_dsn, NOW_MS)
        pass_on(a, timescale_dsn, NOW_MS)  # a new outbox passes all states on again
        with replica(tmp_path / "c", timescale_dsn) as c:
            assert scored_rows(c, 2) == 3


def test_a_database_that_does_not_answer_is_asked_again_after_a_while(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "receiver.handover")
    with replica(tmp_path / "a", "postgresql://127.0.0.1:1/none") as a:
        assert scored_rows(a, 0, node="a") == 1
        assert scored_rows(a, 0, node="b") == 1
        assert len(caplog.records) == 1
        assert scored_rows(a, RETRY_MS // STEP_MS + 1, node="c") == 1
        assert len(caplog.records) == 2


def test_what_a_node_missed_is_caught_up_with_for_an_hour_at_most(tmp_path: Path, timescale_dsn: str) -> None:
    days_later = 2 * DAY_MS // STEP_MS
    with replica(tmp_path / "a", timescale_dsn) as a, replica(tmp_path / "b", timescale_dsn) as b:
        assert scored_rows(a, 0) == 1
        a.checkpoint()
        assert [scored_rows(a, step) for step in (1, 2)] == [2, 3]
        pass_on(a, timescale_dsn, NOW_MS)
        assert scored_rows(b, days_later) == 2
