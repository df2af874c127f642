"""What is deleted, forgotten and watched while a pipeline runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver.columns import NodeName
from receiver.errors import StoreUnavailable
from receiver.housekeeping import HOUSEKEEPING_SECONDS, IDLE_SERIES_SECONDS, Housekeeping
from receiver.pipeline import Pipeline
from receiver.registry import shipped_model
from receiver.store import Label
from tests import counting_model
from tests.running import CATALOGUE, DEADLINE_MS, STEP_MS, running, scrape
from tests.wire.requests import HEADERS, NOW_MS, Series, body, series


def test_near_the_disk_budget_the_oldest_rows_go(tmp_path: Path) -> None:
    with running(tmp_path, max_disk_bytes=2 * 1024**2, max_sample_age_seconds=10**6) as pipeline:
        hours_ms = 2 * 3600 * 1000
        for step in range(80):
            nodes = [series("node_load1", 1.0, NOW_MS + step * STEP_MS, instance=f"node-{n}:9100") for n in range(100)]
            pipeline.ingest(body(1, nodes), HEADERS[1], NOW_MS + step * STEP_MS)
            pipeline.flush(NOW_MS + step * STEP_MS + DEADLINE_MS)
        before = pipeline.store.size_bytes()
        house = Housekeeping(pipeline, NOW_MS)
        for place in range(3):
            later_ms = NOW_MS + hours_ms + place * HOUSEKEEPING_SECONDS * 1000
            house.keep(later_ms, later_ms)
        assert before > 0.9 * 2 * 1024**2
        assert min(block.time_ms.min() for block in pipeline.store.read_rows(0, 2**62)) == NOW_MS + 50 * STEP_MS


def test_a_full_disk_budget_asks_the_sender_to_wait(tmp_path: Path) -> None:
    with running(tmp_path, max_disk_bytes=1024**2) as pipeline:
        series_of_many = [series("node_load1", 1.0, instance=f"node-{i}:{'x' * 500}") for i in range(3000)]
        pipeline.ingest(body(1, series_of_many), HEADERS[1], NOW_MS)
        Housekeeping(pipeline, NOW_MS).keep(NOW_MS, NOW_MS)
        with pytest.raises(StoreUnavailable, match="max_disk_bytes"):
            pipeline.ingest(body(1, scrape(1)), HEADERS[1], NOW_MS)


def test_the_journal_is_kept_for_rows_that_lack_a_sample_and_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receiver.pipeline.SPARE_SAMPLES", 0)
    with running(tmp_path, max_rate_gap_seconds=20, late_horizon_seconds=1) as pipeline:
        house = Housekeeping(pipeline, NOW_MS)

        def records(step: int, samples: list[Series]) -> int:
            at_ms = NOW_MS + step * STEP_MS
            pipeline.ingest(body(1, samples), HEADERS[1], at_ms)
            pipeline.flush(at_ms + DEADLINE_MS)
            house.keep(at_ms + DEADLINE_MS, at_ms + DEADLINE_MS)
            return int(pipeline.store.journal.records)

        trimmed = [records(step, scrape(step)) for step in range(10)]
        assert max(trimmed) < 6
        torn = [records(10, scrape(10)[1:])] + [records(step, scrape(step)) for step in range(11, 20)]
        assert torn == list(range(torn[0], torn[0] + 10))
        assert records(20, [scrape(10)[0], *scrape(20)]) > 10  # whole now, and held for its horizon
        assert records(21, scrape(21)) < 6


def test_the_journal_is_kept_for_an_hour_for_series_that_fall_silent_without_a_marker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receiver.pipeline.SPARE_SAMPLES", 0)
    with running(tmp_path, max_rate_gap_seconds=20, late_horizon_seconds=1) as pipeline:
        house = Housekeeping(pipeline, NOW_MS)

        def records(step: int, instances: list[str]) -> int:
            at_ms = NOW_MS + step * STEP_MS
            samples = [one for instance in instances for one in scrape(step, instance)]
            pipeline.ingest(body(1, samples), HEADERS[1], at_ms)
            pipeline.flush(at_ms + DEADLINE_MS)
            house.keep(at_ms + DEADLINE_MS, at_ms + DEADLINE_MS)
            return int(pipeline.store.journal.records)

        assert [records(step, ["a:9100", "b:9100"]) for step in range(10)][-1] < 6
        kept = [records(step, ["a:9100"]) for step in range(10, 360, 10)]
        assert kept == list(range(kept[0], kept[0] + 35))
        assert [records(step, ["a:9100"]) for step in range(370, 380)][-1] < 6


def test_near_the_disk_budget_rows_that_lack_a_sample_are_given_up_and_counted(tmp_path: Path) -> None:
    with running(tmp_path, max_disk_bytes=1024**2, max_rate_gap_seconds=20, late_horizon_seconds=1) as pipeline:
        house = Housekeeping(pipeline, NOW_MS)
        for step in range(60):
            at_ms = NOW_MS + step * STEP_MS
            disks = [
                series("node_disk_read_bytes_total", 1.0, at_ms, instance=f"{node}:9100", device=f"sd{disk}")
                for node in range(5)
                for disk in range(200)
            ]
            pipeline.ingest(body(1, disks[5:] if step == 1 else disks), HEADERS[1], at_ms)
            pipeline.flush(NOW_MS + step * STEP_MS + DEADLINE_MS)
            house.keep(NOW_MS + step * STEP_MS + DEADLINE_MS, NOW_MS)
        assert pipeline.store.journal.records < 50
        text = pipeline.exposition.render("")[0].decode()
    assert '\nnodescore_rows_given_up_total{reason="disk"} 1.0\n' in text


def test_series_that_have_been_silent_for_hours_make_room_for_others(tmp_path: Path) -> None:
    later_ms = NOW_MS + IDLE_SERIES_SECONDS * 1000 + STEP_MS
    with running(tmp_path, max_series=5, max_sample_age_seconds=10**6) as pipeline:
        pipeline.ingest(body(1, scrape(0)), HEADERS[1], NOW_MS)
        pipeline.flush(NOW_MS + DEADLINE_MS)
        new = [series("node_load1", 1.0, later_ms, instance=f"{name}:9100") for name in "bcde"]
        assert len(pipeline.ingest(body(1, new), HEADERS[1], later_ms).samples) == 1
        pipeline.flush(later_ms + DEADLINE_MS)
        Housekeeping(pipeline, NOW_MS).keep(later_ms + DEADLINE_MS, later_ms + DEADLINE_MS)
        assert len(pipeline.ingest(body(1, new), HEADERS[1], later_ms).samples) == 4
        assert [one.id for one in pipeline.store.series()] == [4, 5, 6, 7]


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


def scores_after(pipeline: Pipeline, *labels: Label) -> list[float]:
    """The score shown when labels have come, and when they have been there for a while."""
    for one in labels:
        pipeline.store.add_label(one)
    house = Housekeeping(pipeline, LAST_MS)
    shown = []
    for later_ms in (LAST_MS, LAST_MS + HOUSEKEEPING_SECONDS * 1000):
        house.keep(later_ms, later_ms)
        shown += pipeline.exposition.snapshot.score.tolist()
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
        Housekeeping(pipeline, later_ms).keep(later_ms, later_ms)
        assert max(score(step) for step in range(180, 240)) < 1


def test_how_far_a_feature_is_from_the_models_training_is_exposed(tmp_path: Path) -> None:
    model = counting_model.write(tmp_path / "m.onnx", CATALOGUE, quantiles={"load1": [float(v) for v in range(11)]})
    with running(tmp_path, model=model) as pipeline:
        nodes = [series("node_load1", 20.0, instance=f"{node}:9100") for node in range(600)]
        cpus = [series("node_cpu_seconds_total", 1.0, instance=f"{node}:9100", mode="idle") for node in range(600)]
        pipeline.ingest(body(1, nodes + cpus), HEADERS[1], NOW_MS)
        pipeline.flush(NOW_MS + DEADLINE_MS)
        Housekeeping(pipeline, NOW_MS).keep(NOW_MS, NOW_MS)
        text = pipeline.exposition.render("")[0].decode()
    (line,) = [line for line in text.splitlines() if line.startswith("nodescore_feature_drift{")]
    assert line.startswith('nodescore_feature_drift{feature="load1"} 6.')
