"""What is deleted, forgotten and watched while a pipeline runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from receiver.errors import StoreUnavailable
from receiver.housekeeping import HOUSEKEEPING_SECONDS, IDLE_SERIES_SECONDS, Housekeeping
from tests import counting_model
from tests.running import CATALOGUE, DEADLINE_MS, STEP_MS, running, scrape
from tests.wire.requests import HEADERS, NOW_MS, Series, body, series


def test_a_replaced_model_file_is_taken_and_a_bad_one_is_not(tmp_path: Path) -> None:
    with running(tmp_path) as pipeline:
        house, every_ms = Housekeeping(pipeline, NOW_MS), HOUSEKEEPING_SECONDS * 1000
        house.keep(NOW_MS, NOW_MS)
        (tmp_path / "model.onnx").write_bytes(b"no model")
        house.keep(NOW_MS + every_ms, NOW_MS + every_ms)
        assert "is not an ONNX file" in pipeline.model_fault
        assert pipeline.states.detector.info.version == "counting-1"
        counting_model.write(tmp_path / "model.onnx", CATALOGUE, version="counting-2")
        house.keep(NOW_MS + 2 * every_ms, NOW_MS + 2 * every_ms)
        assert pipeline.states.detector.info.version == "counting-2"
        assert pipeline.model_fault == ""


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
