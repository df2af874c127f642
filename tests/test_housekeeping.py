"""What is deleted, forgotten and watched while a pipeline runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from receiver.columns import NodeName
from receiver.detector.states import STATE_KEPT_MS
from receiver.errors import StoreUnavailable
from receiver.housekeeping import HOUSEKEEPING_SECONDS, IDLE_SERIES_SECONDS, Housekeeping
from receiver.pipeline import Pipeline
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


def kept_records(pipeline: Pipeline) -> Callable[[int, list[Series]], int]:
    """Takes in the samples of a step and lets all rows of it leave; how many records the journal has then."""
    house = Housekeeping(pipeline, NOW_MS)

    def records(step: int, samples: list[Series]) -> int:
        at_ms = NOW_MS + step * STEP_MS
        pipeline.ingest(body(1, samples), HEADERS[1], at_ms)
        pipeline.flush(at_ms + DEADLINE_MS)
        house.keep(at_ms + DEADLINE_MS, at_ms + DEADLINE_MS)
        return int(pipeline.store.journal.records)

    return records


def test_the_journal_is_kept_for_rows_that_lack_a_sample_and_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receiver.pipeline.SPARE_SAMPLES", 0)
    with running(tmp_path, max_rate_gap_seconds=20, late_horizon_seconds=1) as pipeline:
        records = kept_records(pipeline)
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
        records = kept_records(pipeline)
        assert [records(step, [*scrape(step, "a:9100"), *scrape(step, "b:9100")]) for step in range(10)][-1] < 6
        kept = [records(step, scrape(step, "a:9100")) for step in range(10, 360, 10)]
        assert kept == list(range(kept[0], kept[0] + 35))
        assert [records(step, scrape(step, "a:9100")) for step in range(370, 380)][-1] < 6


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
        assert [one.id for one in pipeline.store.journal.series()] == [4, 5, 6, 7]


def test_a_node_that_has_been_silent_for_days_begins_anew_after_a_restart_too(tmp_path: Path) -> None:
    def go_on(pipeline: Pipeline, at_ms: int, *names: str) -> None:
        samples = [series("node_load1", 1.0, at_ms, instance=f"{name}:9100") for name in names]
        pipeline.ingest(body(1, samples), HEADERS[1], at_ms)
        pipeline.flush(at_ms + DEADLINE_MS)

    later_ms = NOW_MS + STATE_KEPT_MS + 2 * STEP_MS
    with running(tmp_path, max_sample_age_seconds=10**7) as pipeline:
        go_on(pipeline, NOW_MS, "gone", "here")
        pipeline.checkpoint()
        go_on(pipeline, later_ms, "here")
        Housekeeping(pipeline, NOW_MS).keep(later_ms + DEADLINE_MS, later_ms + DEADLINE_MS)
    with running(tmp_path, later_ms, max_sample_age_seconds=10**7) as pipeline:
        assert pipeline.states.snapshot().node.tolist() == [1]
        go_on(pipeline, later_ms + STEP_MS, "gone", "here")
        assert pipeline.states.snapshot().state.tolist() == [[1], [3]]


def test_names_that_come_and_go_leave_nothing_and_one_that_comes_back_begins_anew(tmp_path: Path) -> None:
    days = [NOW_MS + day * 86_400_000 for day in range(12)]
    with running(tmp_path, retention_days=1, max_sample_age_seconds=10**7) as pipeline:
        house = Housekeeping(pipeline, NOW_MS)
        for day, at_ms in enumerate(days):
            went = [f"pod-{day}-{number}:9100" for number in range(50)] + ["back:9100"] * (day in (0, 10))
            samples = [series("node_load1", 1.0, at_ms, instance=instance) for instance in ("here:9100", *went)]
            pipeline.ingest(body(1, samples), HEADERS[1], at_ms)
            pipeline.flush(at_ms + DEADLINE_MS)
            if day == 10:
                back = pipeline.exposition.snapshot
                assert back.score[back.names.index(NodeName("", "back:9100"))] == pytest.approx(0.01)
            for _ in range(2):  # their rows, then their names
                at_ms += IDLE_SERIES_SECONDS * 1000 + HOUSEKEEPING_SECONDS * 1000
                pipeline.flush(at_ms)
                house.keep(at_ms, at_ms)
        left = 6 * 50  # of three days of states, and what goes the next time
        for known in (pipeline.table.nodes, pipeline.store.nodes(), pipeline.exposition.snapshot.node):
            assert len(known) <= left
        assert len(pipeline.exposition._shown.time_ms) <= 2 * left
        assert pipeline.table.nodes == pipeline.store.nodes()
        assert pipeline.table.next_id <= 3 * 50
        assert len(pipeline.table.targets) <= 3 * 50
        waiting = {"here:9100": 5.0, "late:9100": 6.0}
        samples = [series("node_load1", value, at_ms, instance=instance) for instance, value in waiting.items()]
        pipeline.ingest(body(1, samples), HEADERS[1], at_ms)
    with running(tmp_path, at_ms, retention_days=1) as pipeline:
        assert pipeline.table.next_node == 12 * 50 + 4
        assert pipeline.table.next_id <= 2 * 50
        assert len(pipeline.exposition.snapshot.names) <= left
        pipeline.flush(at_ms + DEADLINE_MS)
        (rows,) = pipeline.store.read_rows(at_ms, at_ms + 1)
        load = rows.raw[:, CATALOGUE.feature_names.index("load1")].tolist()
        assert {pipeline.table.nodes[node].node: value for node, value in zip(rows.node, load, strict=True)} == waiting


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


def test_the_budget_and_the_room_on_the_disk_are_measured(tmp_path: Path) -> None:
    with running(tmp_path, max_disk_bytes=2 * 1024**2, data_dir=tmp_path) as pipeline:
        Housekeeping(pipeline, NOW_MS).keep(NOW_MS, NOW_MS)
        lines = dict(line.rsplit(" ", 1) for line in pipeline.exposition.render("")[0].decode().splitlines())
    assert float(lines["nodescore_disk_budget_bytes"]) == 2 * 1024**2
    assert float(lines["nodescore_disk_free_bytes"]) > 0
