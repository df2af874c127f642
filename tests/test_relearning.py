"""What a label calls normal is learnt: which labels, from when on, and wherever they were made."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from receiver.columns import NodeName
from receiver.errors import StoreUnavailable
from receiver.pipeline import Pipeline
from receiver.registry import shipped_model
from receiver.relearning import Relearning
from receiver.store import Label, RowReader
from receiver.store.timescale import TimescaleStore
from tests.running import CATALOGUE, DEADLINE_MS, STEP_MS, running, scrape
from tests.test_changeover import Order, Stopped, at_once
from tests.wire.requests import HEADERS, NOW_MS, Series, body, series


def label(start_ms: int, end_ms: int, *, attack: bool = False, node: str = "a:9100") -> Label:
    return Label(
        name=NodeName("", node),
        start_ms=start_ms,
        end_ms=end_ms,
        attack=attack,
        verdict=None,
        details="",
        author="somebody",
        created_ms=end_ms,
    )


# The counting model is over 1.0 from its row 101 on.
OVER_MS = NOW_MS + 100 * STEP_MS
LAST_MS = NOW_MS + 104 * STEP_MS


@pytest.fixture
def over(tmp_path: Path) -> Iterator[Pipeline]:
    """A node that stays over the threshold."""
    with running(tmp_path, max_sample_age_seconds=10**6) as pipeline:
        for step in range(105):
            at_ms = NOW_MS + step * STEP_MS
            pipeline.ingest(body(1, [series("node_load1", 1.0, at_ms, instance="a:9100")]), HEADERS[1], at_ms)
            pipeline.flush(at_ms + DEADLINE_MS)
        assert pipeline.exposition.snapshot.over_since_ms.tolist() == [OVER_MS]
        yield pipeline


def relearning(
    pipeline: Pipeline, order: Order = at_once, common: Callable[[], RowReader] | None = None, wall_ms: int = LAST_MS
) -> Relearning:
    clocks = Stopped()
    clocks.wall = wall_ms
    return Relearning(pipeline, order, threading.Lock(), clocks, common)


def scores_after(pipeline: Pipeline, *labels: Label, common: Callable[[], RowReader] | None = None) -> list[float]:
    """The score shown when labels have come here, and when they have been there for a while."""
    for one in labels:
        pipeline.store.add_label(one)
    learner = relearning(pipeline, common=common)
    shown = []
    for _ in range(2):
        learner.look()
        shown += pipeline.exposition.snapshot.score.tolist()
    learner.stop()
    learner.run()  # gives up its connection
    return shown


def test_a_label_that_calls_a_nodes_alarm_normal_has_it_learnt_anew_once_from_the_labels_beginning(
    over: Pipeline,
) -> None:
    assert scores_after(over, label(LAST_MS - 9 * STEP_MS, LAST_MS)) == pytest.approx([0.1, 0.1])
    assert over.exposition.snapshot.over_since_ms.tolist() == [0]


@pytest.mark.parametrize(
    "another",
    [
        label(OVER_MS, LAST_MS, attack=True),
        label(NOW_MS, OVER_MS - 1),
        label(OVER_MS, LAST_MS, node="b:9100"),
    ],
    ids=["attack", "before the alarm", "another node"],
)
def test_no_other_label_changes_a_baseline(over: Pipeline, another: Label) -> None:
    assert scores_after(over, another) == pytest.approx([1.05, 1.05])


def test_a_label_changes_nothing_of_a_node_that_is_below_the_threshold(tmp_path: Path) -> None:
    with running(tmp_path) as pipeline:
        for step in range(5):
            pipeline.ingest(body(1, scrape(step)), HEADERS[1], NOW_MS + step * STEP_MS)
            pipeline.flush(NOW_MS + step * STEP_MS + DEADLINE_MS)
        assert scores_after(pipeline, label(NOW_MS + 4 * STEP_MS, LAST_MS)) == pytest.approx([0.05, 0.05])


def test_the_shipped_model_takes_what_a_label_calls_normal_for_the_new_baseline(tmp_path: Path) -> None:
    def loaded(step: int) -> list[Series]:
        """A calm node, and from step 60 on one that works."""
        at_ms, works = NOW_MS + step * STEP_MS, step >= 60
        idle = 10.0 * step - (9.0 * (step - 59) if works else 0.0)
        return [
            series("node_load1", 8.0 if works else 0.1, at_ms),
            series("node_cpu_seconds_total", idle, at_ms, mode="idle", cpu="0"),
            series("node_forks_total", 20.0 * step + (5000.0 * (step - 59) if works else 0.0), at_ms),
            series("node_intr_total", 1e4 * step + (1e6 * (step - 59) if works else 0.0), at_ms),
        ]

    with running(tmp_path, model=shipped_model(), max_sample_age_seconds=10**6) as pipeline:

        def score(step: int) -> float:
            at_ms = NOW_MS + step * STEP_MS
            pipeline.ingest(body(1, loaded(step)), HEADERS[1], at_ms)
            pipeline.flush(at_ms + DEADLINE_MS)
            return float(pipeline.exposition.snapshot.score[0])

        assert max(score(step) for step in range(60)) < 1
        assert min([score(step) for step in range(60, 180)][5:]) > 1
        pipeline.store.add_label(label(NOW_MS + 60 * STEP_MS, NOW_MS + 180 * STEP_MS, node="10.0.0.1:9100"))
        later_ms = NOW_MS + 180 * STEP_MS
        relearning(pipeline, wall_ms=later_ms).look()
        assert max(score(step) for step in range(180, 240)) < 1


def test_a_row_that_comes_while_a_node_is_learnt_anew_is_learnt_too(over: Pipeline) -> None:
    def meanwhile(run: Callable[[], None]) -> None:
        at_ms = LAST_MS + STEP_MS
        over.ingest(body(1, [series("node_load1", 1.0, at_ms, instance="a:9100")]), HEADERS[1], at_ms)
        over.flush(at_ms + DEADLINE_MS)
        run()

    over.store.add_label(label(LAST_MS - 9 * STEP_MS, LAST_MS))
    relearning(over, meanwhile).look()
    assert over.exposition.snapshot.score.tolist() == pytest.approx([0.11])


@pytest.mark.real("timescale")
class TestOverTimescale:
    """Another replica, or a command, has written to the database."""

    def test_a_label_that_is_only_in_the_database_is_learnt_once(self, over: Pipeline, timescale_dsn: str) -> None:
        with closing(TimescaleStore.connect(timescale_dsn, CATALOGUE)) as theirs:
            theirs.add_label(label(LAST_MS - 9 * STEP_MS, LAST_MS))
        shown = scores_after(over, common=lambda: TimescaleStore.connect(timescale_dsn, CATALOGUE))
        assert shown == pytest.approx([0.1, 0.1])

    def test_a_label_that_is_in_both_and_withdrawn_in_the_database_is_not_learnt(
        self, over: Pipeline, timescale_dsn: str
    ) -> None:
        ours = label(OVER_MS, LAST_MS)
        with closing(TimescaleStore.connect(timescale_dsn, CATALOGUE)) as theirs:
            theirs.add_label(ours)
            (kept,) = theirs.labels(LAST_MS, LAST_MS + 1)
            theirs.revise_label(replace(kept, revision=2, withdrawn=True, created_ms=LAST_MS + 1))
        shown = scores_after(over, ours, common=lambda: TimescaleStore.connect(timescale_dsn, CATALOGUE))
        assert shown == pytest.approx([1.05, 1.05])


def test_while_the_database_is_away_what_was_said_here_is_learnt(over: Pipeline) -> None:
    def away() -> RowReader:
        raise StoreUnavailable("away")

    assert scores_after(over, label(LAST_MS - 9 * STEP_MS, LAST_MS), common=away) == pytest.approx([0.1, 0.1])
