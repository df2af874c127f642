"""Torn scrapes, and crashes between their pieces: what is stored in the end."""

from __future__ import annotations

import math
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from receiver.housekeeping import Housekeeping
from receiver.pipeline import Pipeline
from tests.running import CATALOGUE, DEADLINE_MS, STEP_MS, running, stored
from tests.torn_scrapes import DISK_A, DISK_B, FEATURES, IDLE_0, IDLE_1, LOAD_1, STALE, Torn, torn_scrapes
from tests.wire.requests import HEADERS, NOW_MS, Series, body, series


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


def test_a_start_gives_a_stored_row_no_partial_sum_of_what_the_rest_of_the_journal_has_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receiver.pipeline.SPARE_SAMPLES", 0)

    def disk(instance: str, device: str, at_ms: int) -> Series:
        return series("node_disk_read_bytes_total", 1000.0, NOW_MS + at_ms, instance=instance, device=device)

    with running(tmp_path) as pipeline:
        house = Housekeeping(pipeline, NOW_MS)

        def send(at_ms: int, *sent: Series) -> None:
            pipeline.ingest(body(1, list(sent)), HEADERS[1], NOW_MS + at_ms)
            keep(at_ms)

        def keep(at_ms: int) -> None:
            pipeline.flush(NOW_MS + at_ms)
            house.keep(NOW_MS + at_ms, NOW_MS + at_ms)

        def keep_on(from_ms: int, to_ms: int) -> None:
            for at_ms in range(from_ms, to_ms, 5000):
                keep(at_ms)

        # The second scrape is torn: of three disks two come, one in a record that the journal will have let go of.
        send(0, *(disk("a:9100", device, 0) for device in ("sda", "sdb", "sdc")))
        send(60_000, disk("a:9100", "sda", 60_000))
        send(65_500, disk("a:9100", "sdb", 60_000))
        keep_on(70_000, 435_000)
        # What is known of a silent disk of another node keeps the journal from here on.
        send(435_000, disk("b:9100", "sda", 435_000), disk("b:9100", "sdb", 435_000))
        for at_ms in range(495_000, 2_235_000, 60_000):
            send(at_ms, disk("b:9100", "sda", at_ms))
            keep_on(at_ms, at_ms + 60_000)
        keep_on(2_235_000, 3_990_000)
    with running(tmp_path, NOW_MS + 4_000_000) as pipeline:
        pipeline.flush(NOW_MS + 4_040_000)
    rows, _ = stored(tmp_path)
    read = {row[0] - NOW_MS: row[2 + CATALOGUE.feature_names.index("disk_read")] for row in rows if row[1] == 0}
    assert read[0] == 3000.0
    assert math.isnan(read[60_000])


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

# The row of 70 s has left when sdb comes, and lacks sda; replayed, it has sdb from the first, which replaces sda. So
# nothing is made again, and the stored row lacks the feature.
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
def test_whatever_connection_is_behind_and_wherever_it_crashes_no_row_is_lost_and_no_value_is_wrong(
    torn: Torn, crashes: set[int], idle_flushes: bool
) -> None:
    found = in_the_end(torn, crashes, idle_flushes)
    assert found.keys() == torn.expected.keys()
    for time_ms, values in found.items():
        assert values.items() <= torn.expected[time_ms].items()


@settings(max_examples=40)
@given(torn=torn_scrapes(series_come=False, first_in_time=True), crashes=CRASHES, idle_flushes=st.booleans())
@example(torn=SEEN_LONG_BEFORE, crashes={10}, idle_flushes=False)
@example(torn=SEEN_WHILE_OPEN, crashes={7}, idle_flushes=False)
def test_rows_of_known_series_are_exact_in_the_end_where_the_journal_is_trimmed_as_early_as_can_be(
    torn: Torn, crashes: set[int], idle_flushes: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("receiver.pipeline.SPARE_SAMPLES", 0)
        patch.setattr("receiver.rows.tail.EVERY_MS", 0)
        assert in_the_end(torn, crashes, idle_flushes, horizon_seconds=1, gap_seconds=10) == torn.expected
