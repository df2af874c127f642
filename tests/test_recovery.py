"""Whenever it crashes, no row and no score is another one."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.pipeline import Pipeline
from receiver.rows.assembler import TURN_ROWS
from receiver.store import Finished
from receiver.store.embedded import EmbeddedStore
from tests import counting_model
from tests.running import CATALOGUE, DEADLINE_MS, STEP_MS, running, scrape, stored
from tests.wire.requests import HEADERS, NOW_MS, Series, body, series


def test_the_first_scrape_after_a_crash_has_rates_and_goes_on_with_the_states(tmp_path: Path) -> None:
    with running(tmp_path) as pipeline:
        for step in range(3):
            pipeline.ingest(body(1, scrape(step)), HEADERS[1], NOW_MS + step * STEP_MS)
            pipeline.flush(NOW_MS + step * STEP_MS + DEADLINE_MS)
    later_ms = NOW_MS + 3 * STEP_MS
    with running(tmp_path, later_ms) as pipeline:
        pipeline.ingest(body(2, scrape(3)), HEADERS[2], later_ms)
        assert pipeline.flush(later_ms) == 1
        assert pipeline.exposition.snapshot.score.tolist() == pytest.approx([0.04])
        (scores,) = pipeline.store.read_scores(later_ms, 2**62)
    assert scores.x[0, CATALOGUE.feature_names.index("forks_total")] == pytest.approx(0.5)


def test_samples_of_a_row_that_was_open_at_the_crash_are_completed_by_the_retry(tmp_path: Path) -> None:
    first, rest = scrape(1)[:2], scrape(1)[2:]
    with running(tmp_path) as pipeline:
        pipeline.ingest(body(1, scrape(0)), HEADERS[1], NOW_MS)
        pipeline.flush(NOW_MS + DEADLINE_MS)
        pipeline.ingest(body(1, first), HEADERS[1], NOW_MS + STEP_MS)
    restarted_ms = NOW_MS + STEP_MS + 60_000
    with running(tmp_path, restarted_ms) as pipeline:
        assert pipeline.flush(restarted_ms) == 0
        pipeline.ingest(body(1, rest), HEADERS[1], restarted_ms + 1000)
        assert pipeline.flush(restarted_ms + 1000) == 1
    rows, _ = stored(tmp_path)
    idle = 2 + CATALOGUE.feature_names.index("cpu_sec_idle")
    assert rows[-1][idle] == 212.0


def test_a_row_re_made_at_the_crash_is_whole_in_the_store(tmp_path: Path) -> None:
    new_disk = series("node_disk_read_bytes_total", 70.0, NOW_MS + STEP_MS, instance="a:9100", device="sdb")
    with running(tmp_path) as pipeline:
        for step in (0, 1):
            at_ms = NOW_MS + step * STEP_MS
            disk = series("node_disk_read_bytes_total", 110.0, at_ms, instance="a:9100", device="sda")
            pipeline.ingest(body(1, [disk]), HEADERS[1], at_ms)
            pipeline.flush(at_ms + DEADLINE_MS)
        pipeline.ingest(body(1, [new_disk]), HEADERS[1], NOW_MS + STEP_MS + DEADLINE_MS)
    with running(tmp_path, NOW_MS + 2 * STEP_MS):
        pass
    rows, _ = stored(tmp_path)
    assert rows[-1][2 + CATALOGUE.feature_names.index("disk_read")] == 180.0


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_crash_anywhere_changes_no_row_and_no_score(data: st.DataObject) -> None:
    # Two nodes, torn into requests; each is followed by a flush, and now and then by a crash.
    requests: list[tuple[int, Sequence[Series]]] = []
    for step in range(4):
        for instance in ("a:9100", "b:9100"):
            whole = scrape(step, instance)
            cut = data.draw(st.integers(0, len(whole)))
            at_ms = NOW_MS + step * STEP_MS
            requests += [(at_ms, part) for part in (whole[:cut], whole[cut:]) if part]
    crashes = data.draw(st.sets(st.integers(0, len(requests) - 1), max_size=3))
    turn_rows = data.draw(st.sampled_from([1, TURN_ROWS]))

    def run(folder: Path, crash_after: set[int]) -> tuple[list[list[float]], list[list[float]]]:
        place = 0
        while place < len(requests):
            with running(folder, requests[place][0]) as pipeline:
                while place < len(requests):
                    at_ms, part = requests[place]
                    pipeline.ingest(body(1 + place % 2, part), HEADERS[1 + place % 2], at_ms)
                    if place % 3:  # so that a crash also finds rows that could have left
                        pipeline.flush_block(at_ms)
                    place += 1
                    if place - 1 in crash_after:
                        break
                if place == len(requests):
                    pipeline.flush(NOW_MS + 10 * STEP_MS)
        return stored(folder)

    with (
        tempfile.TemporaryDirectory() as one,
        tempfile.TemporaryDirectory() as other,
        pytest.MonkeyPatch.context() as p,
    ):
        expected = run(Path(one), set())
        p.setattr("receiver.rows.assembler.TURN_ROWS", turn_rows)  # so that there are crashes between blocks
        got = run(Path(other), crashes)
    np.testing.assert_array_equal(got[0], expected[0])
    np.testing.assert_array_equal(got[1], expected[1])


def test_a_start_that_is_ended_in_the_middle_changes_no_row_and_no_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later_ms = NOW_MS + 10 * STEP_MS
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
        with running(folder) as pipeline:
            for step in range(6):
                pipeline.ingest(body(1, scrape(step)), HEADERS[1], NOW_MS + step * STEP_MS)
    write, written = EmbeddedStore.write, 0

    def write_two(store: EmbeddedStore, finished: Finished) -> None:
        nonlocal written
        if written == 2:
            raise KeyboardInterrupt
        write(store, finished)
        written += 1

    with monkeypatch.context() as patch:
        patch.setattr(EmbeddedStore, "write", write_two)
        with pytest.raises(KeyboardInterrupt), running(cut, later_ms):
            pass
    assert 0 < len(stored(cut)[0]) < 6
    for folder in (whole, cut):
        with running(folder, later_ms) as pipeline:
            pipeline.flush(later_ms + DEADLINE_MS)
    np.testing.assert_array_equal(stored(cut)[0], stored(whole)[0])
    np.testing.assert_array_equal(stored(cut)[1], stored(whole)[1])


def test_a_model_that_is_used_again_after_another_learns_from_the_past_though_one_state_of_it_is_left(
    tmp_path: Path,
) -> None:
    first, second = (counting_model.write(tmp_path / f"{name}.onnx", CATALOGUE, name) for name in ("first", "second"))
    day_ms, minutes = 86_400_000, 180

    def send(pipeline: Pipeline, node: str, at_ms: int) -> None:
        pipeline.ingest(body(1, [series("node_load1", 1.0, at_ms, node=node)]), HEADERS[1], at_ms)
        pipeline.flush(at_ms + DEADLINE_MS)

    with running(tmp_path, NOW_MS - 3 * day_ms, model=first) as pipeline:
        send(pipeline, "gone", NOW_MS - 3 * day_ms)
        for minute in range(minutes):
            send(pipeline, "here", NOW_MS - (minutes - minute) * 60_000)
        pipeline.checkpoint()
        pipeline.store.delete_before(NOW_MS - day_ms)
    with running(tmp_path, NOW_MS, model=second) as pipeline:
        pipeline.checkpoint()
    with running(tmp_path, NOW_MS, model=first) as pipeline:
        send(pipeline, "here", NOW_MS)
        shown = pipeline.exposition.snapshot
        here = [name.node for name in shown.names].index("here")
        assert shown.score[here] == pytest.approx((minutes + 1) / 100)
