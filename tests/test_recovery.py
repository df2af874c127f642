"""Whenever it crashes, no row and no score is another one."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from receiver.housekeeping import Housekeeping
from receiver.pipeline import Pipeline
from receiver.rows.assembler import TURN_ROWS
from receiver.store import Finished
from receiver.store.embedded import EmbeddedStore
from tests.running import CATALOGUE, DEADLINE_MS, STEP_MS, running, scrape, stored
from tests.torn_scrapes import DISK_A, DISK_B, FEATURES, IDLE_0, IDLE_1, LOAD_1, STALE, Torn, torn_scrapes
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


def in_the_end(
    torn: Torn, crashes: set[int], idle_flushes: bool, horizon_seconds: float = 60, gap_seconds: float = 300
) -> dict[int, dict[str, float]]:
    """What is stored of torn scrapes, with a crash after each of these requests."""

    def started(folder: Path, now_ms: int) -> AbstractContextManager[Pipeline]:
        return running(folder, now_ms, late_horizon_seconds=horizon_seconds, max_rate_gap_seconds=gap_seconds)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        place = 0
        while place < len(torn.requests):
            with started(folder, NOW_MS + torn.requests[place][0]) as pipeline:
                house = Housekeeping(pipeline, NOW_MS)
                crashed = False
                while place < len(torn.requests) and not crashed:
                    at_ms = NOW_MS + torn.requests[place][0]
                    if idle_flushes:
                        pipeline.flush(at_ms - 1)
                    sent = [
                        Series(sorted({**labels, "instance": "a:9100"}.items()), [(value, NOW_MS + time_ms)])
                        for labels, time_ms, value in torn.requests[place][1]
                    ]
                    pipeline.ingest(body(1 + place % 2, sent), HEADERS[1 + place % 2], at_ms)
                    if place % 3:
                        pipeline.flush(at_ms)
                        house.keep(at_ms, at_ms)
                    crashed = place in crashes
                    place += 1
                if not crashed:
                    pipeline.flush(at_ms + DEADLINE_MS)
        with started(folder, at_ms + DEADLINE_MS) as pipeline:
            pipeline.flush(at_ms + 2 * DEADLINE_MS)
        rows, _ = stored(folder)
    columns = {name: 2 + CATALOGUE.feature_names.index(name) for name in FEATURES}
    return {
        int(row[0]) - NOW_MS: {name: row[column] for name, column in columns.items() if row[column] == row[column]}
        for row in rows
    }


def after_a_long_silence(folder: Path, monkeypatch: pytest.MonkeyPatch, flush_before_crash: bool) -> list[list[float]]:
    """The rows of two connections with a disk each that stand still for ten minutes, and come back one by one.

    The service holds no more whole rows than it has to, as that of a large fleet; it crashes in between.
    """
    monkeypatch.setattr("receiver.pipeline.SPARE_SAMPLES", 0)

    def disk(device: str, value: float, step: int) -> Series:
        return series("node_disk_read_bytes_total", value, NOW_MS + step * STEP_MS, device=device)

    back_ms = NOW_MS + 600_000
    with running(folder) as pipeline:
        house = Housekeeping(pipeline, NOW_MS)
        for step in (0, 1):
            both = [disk("sda", 1000.0 * step, step), disk("sdb", 10.0 * step, step)]
            pipeline.ingest(body(1, both), HEADERS[1], NOW_MS + step * STEP_MS)
        for at_ms in range(NOW_MS + STEP_MS, back_ms, STEP_MS):
            pipeline.flush(at_ms)
            house.keep(at_ms, at_ms)
        pipeline.ingest(body(1, [disk("sda", 2000.0, 2)]), HEADERS[1], back_ms)
        if flush_before_crash:
            pipeline.flush(back_ms + DEADLINE_MS)
        house.keep(back_ms + DEADLINE_MS, back_ms + DEADLINE_MS)
    restarted_ms = back_ms + 2 * DEADLINE_MS
    with running(folder, restarted_ms) as pipeline:
        pipeline.flush(restarted_ms + DEADLINE_MS)
        pipeline.ingest(body(1, [disk("sda", 3000.0, 3)]), HEADERS[1], restarted_ms + DEADLINE_MS)
        behind_ms = restarted_ms + 600_000
        pipeline.flush(behind_ms)
        pipeline.ingest(body(1, [disk("sdb", 20.0, 2)]), HEADERS[1], behind_ms)
        pipeline.ingest(body(1, [disk("sdb", 30.0, 3)]), HEADERS[1], behind_ms)
        pipeline.flush(behind_ms + DEADLINE_MS)
    rows, _ = stored(folder)
    return rows


@pytest.mark.parametrize("flush_before_crash", [False, True])
def test_a_row_that_lacks_a_series_of_before_a_long_silence_is_still_made_whole_after_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flush_before_crash: bool
) -> None:
    rows = after_a_long_silence(tmp_path, monkeypatch, flush_before_crash)
    disk_read = 2 + CATALOGUE.feature_names.index("disk_read")
    assert [row[disk_read] for row in rows] == [0.0, 1010.0, 2020.0, 3030.0]


CRASHES = st.sets(st.integers(0, 30), max_size=4)

# What the row of 30 s lacks was last seen in a record that came long before those of all rows that are held.
SEEN_LONG_BEFORE = Torn(
    requests=[
        (0, [(IDLE_0, 0, 1.0), (IDLE_1, 0, 2.0), (DISK_B, 0, 16.0)]),
        (0, [(LOAD_1, 0, 4.0)]),
        (0, [(DISK_A, 0, 8.0)]),
        (10_000, [(IDLE_0, 10_000, STALE), (IDLE_1, 10_000, STALE), (DISK_B, 10_000, 512.0)]),
        (10_000, [(DISK_A, 10_000, 256.0)]),
        (85_000, [(LOAD_1, 10_000, 128.0)]),
        (85_000, [(LOAD_1, 20_000, STALE)]),
        (95_000, [(DISK_A, 20_000, 8192.0)]),
        (95_000, [(DISK_A, 30_000, 262_144.0)]),
        (95_000, [(DISK_A, 40_000, STALE)]),
        (620_000, [(DISK_B, 20_000, 16_384.0)]),
        (620_000, [(DISK_B, 30_000, STALE)]),
    ],
    expected={
        0: {"cpu_sec_idle": 3.0, "load1": 4.0, "disk_read": 24.0},
        10_000: {"load1": 128.0, "disk_read": 768.0},
        20_000: {"disk_read": 24_576.0},
        30_000: {"disk_read": 262_144.0},
    },
)

# What the row of 30 s lacks is seen before that row leaves, and was not known of when it opened.
SEEN_WHILE_OPEN = Torn(
    requests=[
        (0, [(IDLE_0, 0, 1.0), (IDLE_1, 0, 2.0), (LOAD_1, 0, 4.0), (DISK_A, 0, 8.0)]),
        (0, [(DISK_B, 0, 16.0)]),
        (18_000, [(IDLE_0, 10_000, STALE), (IDLE_1, 10_000, STALE), (LOAD_1, 10_000, STALE), (DISK_A, 10_000, 256.0)]),
        (28_000, [(DISK_A, 20_000, 8192.0)]),
        (30_000, [(DISK_A, 30_000, 262_144.0)]),
        (85_000, [(DISK_B, 10_000, 512.0)]),
        (85_000, [(DISK_B, 20_000, 16_384.0)]),
        (115_000, [(DISK_A, 40_000, STALE)]),
        (630_000, [(DISK_B, 30_000, STALE)]),
    ],
    expected={
        0: {"cpu_sec_idle": 3.0, "load1": 4.0, "disk_read": 24.0},
        10_000: {"disk_read": 768.0},
        20_000: {"disk_read": 24_576.0},
        30_000: {"disk_read": 262_144.0},
    },
)


# The row of 70 s has left when sdb comes, and lacks sda; replayed, it has sdb from the first, which replaces sda.
NEW_AFTER_ITS_ROW = Torn(
    requests=[
        (10_000, [(DISK_A, 10_000, 1.0)]),
        (50_000, [(LOAD_1, 50_000, 2.0)]),
        (60_000, [(LOAD_1, 60_000, STALE)]),
        (70_000, [(LOAD_1, 70_000, 4.0)]),
        (78_000, [(DISK_B, 70_000, 8.0)]),
        (80_000, [(LOAD_1, 80_000, STALE)]),
        (80_000, [(DISK_B, 80_000, STALE)]),
        (95_000, [(DISK_A, 20_000, STALE)]),
    ],
    expected={10_000: {"disk_read": 1.0}, 50_000: {"load1": 2.0}, 70_000: {"load1": 4.0, "disk_read": 8.0}},
)


@settings(max_examples=40)
@example(torn=NEW_AFTER_ITS_ROW, crashes={4}, idle_flushes=True)
@given(torn=torn_scrapes(series_come=True, first_in_time=False), crashes=CRASHES, idle_flushes=st.booleans())
def test_whatever_connection_is_behind_and_wherever_it_crashes_all_rows_are_exact_in_the_end(
    torn: Torn, crashes: set[int], idle_flushes: bool
) -> None:
    assert in_the_end(torn, crashes, idle_flushes) == torn.expected


@settings(max_examples=40)
@given(torn=torn_scrapes(series_come=False, first_in_time=True), crashes=CRASHES, idle_flushes=st.booleans())
@example(torn=SEEN_LONG_BEFORE, crashes={10}, idle_flushes=False)
@example(torn=SEEN_WHILE_OPEN, crashes={7}, idle_flushes=False)
def test_so_are_rows_of_known_series_where_the_journal_is_trimmed_as_early_as_can_be(
    torn: Torn, crashes: set[int], idle_flushes: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("receiver.pipeline.SPARE_SAMPLES", 0)
        patch.setattr("receiver.rows.tail.EVERY_MS", 0)
        assert in_the_end(torn, crashes, idle_flushes, horizon_seconds=1, gap_seconds=10) == torn.expected
