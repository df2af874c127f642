"""From bytes to stored rows and exposed scores, and back after a crash."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver import catalogue
from receiver.catalogue import Catalogue
from receiver.columns import NodeName, Rows
from receiver.detector import Detector
from receiver.errors import StoreUnavailable, Unavailable
from receiver.exposition import Exposition, Snapshot
from receiver.housekeeping import HOUSEKEEPING_SECONDS, IDLE_SERIES_SECONDS, Housekeeping
from receiver.pipeline import Pipeline
from receiver.recovery import recover
from receiver.rows.assembler import BLOCK_ROWS
from receiver.settings import Settings
from receiver.store.embedded import EmbeddedStore
from tests import counting_model
from tests.pods import PODS
from tests.torn_scrapes import FEATURES, Torn, torn_scrapes
from tests.wire.requests import HEADERS, NOW_MS, Series, body, series

CATALOGUE = catalogue.load()
STEP_MS = 10_000
DEADLINE_MS = 7000


@contextmanager
def running(
    folder: Path, now_ms: int = NOW_MS, *, wanted: Catalogue = CATALOGUE, **options: object
) -> Iterator[Pipeline]:
    """A pipeline on the store in `folder`; leaving it without a checkpoint is what a crash does."""
    model = folder / "model.onnx"
    if not model.exists():
        counting_model.write(model, wanted)
    detector = Detector.load(model, wanted.feature_names)
    exposition = Exposition(
        Snapshot.empty(wanted.feature_names, detector.info.version, detector.info.detector),
        staleness_seconds=300,
        top_features=5,
        contribution_floor=0.5,
        entity=wanted.name,
        clock=lambda: NOW_MS / 1000,
        version="test",
    )
    store = EmbeddedStore.open(folder / "store.sqlite", wanted, "normal")
    try:
        pipeline = Pipeline(Settings.model_validate(options), wanted, store, detector, exposition)
        recover(pipeline, now_ms)
        yield pipeline
    finally:
        store.close()


def scrape(step: int, instance: str = "a:9100") -> list[Series]:
    """All series of one node at one time."""
    at = NOW_MS + step * STEP_MS
    return [
        series("node_load1", 1.0 + step, at, instance=instance),
        series("node_cpu_seconds_total", 100.0 + 5 * step, at, instance=instance, mode="idle", cpu="0"),
        series("node_cpu_seconds_total", 100.0 + 7 * step, at, instance=instance, mode="idle", cpu="1"),
        series("node_forks_total", 1000.0 + step * step, at, instance=instance),
    ]


def stored(folder: Path) -> tuple[list[list[float]], list[list[float]]]:
    """All rows and scores in the store, in order."""
    store = EmbeddedStore.open(folder / "store.sqlite", CATALOGUE)
    try:
        rows = Rows.joined(list(store.read_rows(0, 2**62)), len(CATALOGUE.feature_names))
        scores = list(store.read_scores(0, 2**62))
    finally:
        store.close()
    keyed = np.column_stack((rows.time_ms, rows.node, rows.raw, rows.x))
    scored = [np.column_stack((block.time_ms, block.node, block.score)) for block in scores]
    return keyed.tolist(), np.concatenate(scored).tolist() if scored else []


def test_a_scrape_becomes_a_stored_row_and_an_exposed_score(tmp_path: Path) -> None:
    with running(tmp_path) as pipeline:
        for step in (0, 1):
            now_ms = NOW_MS + step * STEP_MS
            assert pipeline.ingest(body(1, scrape(step)), HEADERS[1], now_ms).status == 204
            pipeline.flush(now_ms + DEADLINE_MS)
        snapshot = pipeline.exposition.snapshot
        assert snapshot.names == (NodeName("", "a:9100"),)
        assert snapshot.score.tolist() == pytest.approx([0.02])
        (rows,) = pipeline.store.read_rows(0, 2**62)
    load1, forks = CATALOGUE.feature_names.index("load1"), CATALOGUE.feature_names.index("forks_total")
    assert rows.raw[:, load1].tolist() == [1.0, 2.0]
    assert rows.x[1, forks] == pytest.approx(0.1)


@pytest.mark.parametrize("version", [1, 2])
def test_another_catalogue_goes_the_same_way_to_its_own_table_and_label(tmp_path: Path, version: int) -> None:
    def pod(name: str, time_ms: int, value: float, **labels: str) -> Series:
        labels = {"__name__": name, "pod": "web-1", "namespace": "shop", "region": "eu", **labels}
        return Series(sorted(labels.items()), [(value, time_ms)])

    with running(tmp_path, wanted=PODS) as pipeline:
        for step in (0, 1):
            at_ms = NOW_MS + step * STEP_MS
            sent = [
                pod("http_requests_total", at_ms, 100.0 + 50 * step, path="/"),
                pod("http_requests_total", at_ms, 10.0 + 10 * step, path="/cart"),
                pod("memory_bytes", at_ms, 30.0),
                pod("memory_limit_bytes", at_ms, 120.0),
                pod("replicas", at_ms, 2.0, state="up"),
                pod("node_load1", at_ms, 1.0),
            ]
            pipeline.ingest(body(version, sent), HEADERS[version], at_ms)
            pipeline.flush(at_ms + DEADLINE_MS)
        (rows,) = pipeline.store.read_rows(0, 2**62)
        text = pipeline.exposition.render("")[0].decode()
    assert rows.raw[-1].tolist() == [340.0, 25.0, 2.0, 0.0]
    assert rows.x[-1].tolist() == pytest.approx([12.0, 25.0, 2.0, 0.0])
    assert 'anomaly_score{cluster="eu",pod="web-1"} 0.02' in text
    with closing(sqlite3.connect(tmp_path / "store.sqlite")) as file:
        assert file.execute("SELECT count(*) FROM pod_samples").fetchone() == (2,)


def test_a_flush_of_more_rows_than_a_block_stores_and_scores_them_all(tmp_path: Path) -> None:
    nodes = BLOCK_ROWS + 5
    with running(tmp_path) as pipeline:
        request = body(1, [series("node_load1", float(node), instance=f"{node}:9100") for node in range(nodes)])
        pipeline.ingest(request, HEADERS[1], NOW_MS)
        assert pipeline.flush(NOW_MS + DEADLINE_MS) == nodes
        assert pipeline.store.consumed_seq == 1
    rows, scores = stored(tmp_path)
    load1 = 2 + CATALOGUE.feature_names.index("load1")
    assert (len(rows), len(scores)) == (nodes, nodes)
    assert sorted(row[load1] for row in rows) == [float(node) for node in range(nodes)]


def test_every_stage_is_counted(tmp_path: Path) -> None:
    with running(tmp_path) as pipeline:
        request = body(2, [*scrape(0), series("up"), Series([("job", "node")])])
        pipeline.ingest(request, HEADERS[2], NOW_MS)
        pipeline.flush(NOW_MS + DEADLINE_MS)
        Housekeeping(pipeline, NOW_MS).keep(NOW_MS, NOW_MS)
        text = pipeline.exposition.render("")[0].decode()
    for line in (
        f"nodescore_received_bytes_total {len(request)}.0",
        "nodescore_samples_received_total 5.0",
        "nodescore_samples_kept_total 4.0",
        "nodescore_samples_unwanted_total 1.0",
        'nodescore_invalid_total{reason="labels"} 1.0',
        'nodescore_rows_total{kind="complete"} 1.0',
        "nodescore_rows_scored_total 1.0",
        "nodescore_series 4.0",
        "nodescore_nodes 1.0",
        "nodescore_journal_records 1.0",
    ):
        assert f"\n{line}\n" in text


def test_a_row_older_than_the_staleness_limit_is_scored_and_stored_but_not_exposed(tmp_path: Path) -> None:
    with running(tmp_path) as pipeline:
        pipeline.ingest(body(1, scrape(-31)), HEADERS[1], NOW_MS)
        assert pipeline.flush(NOW_MS + DEADLINE_MS) == 1
        assert "anomaly_score{" not in pipeline.exposition.render("")[0].decode()
    assert len(stored(tmp_path)[1]) == 1


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


def test_a_swapped_model_is_warmed_on_the_stored_past(tmp_path: Path) -> None:
    with running(tmp_path) as pipeline:
        for step in range(3):
            pipeline.ingest(body(1, scrape(step)), HEADERS[1], NOW_MS + step * STEP_MS)
            pipeline.flush(NOW_MS + step * STEP_MS + DEADLINE_MS)
        other = counting_model.write(tmp_path / "other.onnx", CATALOGUE, version="counting-2")
        pipeline.use(Detector.load(other, CATALOGUE.feature_names), NOW_MS + 3 * STEP_MS)
        pipeline.ingest(body(1, scrape(3)), HEADERS[1], NOW_MS + 3 * STEP_MS)
        pipeline.flush(NOW_MS + 3 * STEP_MS)
        assert pipeline.exposition.snapshot.model_version == "counting-2"
        assert pipeline.exposition.snapshot.score.tolist() == pytest.approx([0.04])


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


def test_the_same_model_again_keeps_every_state(tmp_path: Path) -> None:
    with running(tmp_path) as pipeline:
        for step in range(2):
            pipeline.ingest(body(1, scrape(step)), HEADERS[1], NOW_MS + step * STEP_MS)
            pipeline.flush(NOW_MS + step * STEP_MS + DEADLINE_MS)
        later_ms = NOW_MS + 2 * 3600 * 1000
        pipeline.use(Detector.load(tmp_path / "model.onnx", CATALOGUE.feature_names), later_ms)
        assert pipeline.states.snapshot().state.tolist() == [[2.0]]


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


def test_too_many_waiting_samples_ask_the_sender_to_wait(tmp_path: Path) -> None:
    with running(tmp_path, max_open_samples=5) as pipeline:
        pipeline.ingest(body(1, [*scrape(0), *scrape(1)]), HEADERS[1], NOW_MS + STEP_MS)
        with pytest.raises(Unavailable, match="max_open_samples"):
            pipeline.ingest(body(1, scrape(2)), HEADERS[1], NOW_MS + 2 * STEP_MS)


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

    def run(folder: Path, crash_after: set[int]) -> tuple[list[list[float]], list[list[float]]]:
        place = 0
        while place < len(requests):
            with running(folder, requests[place][0]) as pipeline:
                while place < len(requests):
                    at_ms, part = requests[place]
                    pipeline.ingest(body(1 + place % 2, part), HEADERS[1 + place % 2], at_ms)
                    if place % 3:  # so that a crash also finds rows that could have left
                        pipeline.flush(at_ms)
                    place += 1
                    if place - 1 in crash_after:
                        break
                if place == len(requests):
                    pipeline.flush(NOW_MS + 10 * STEP_MS)
        return stored(folder)

    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        expected, got = run(Path(one), set()), run(Path(other), crashes)
    np.testing.assert_array_equal(got[0], expected[0])
    np.testing.assert_array_equal(got[1], expected[1])


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


CRASHES = st.sets(st.integers(0, 30), max_size=4)


@settings(max_examples=40)
@given(torn=torn_scrapes(series_come=True, first_in_time=False), crashes=CRASHES, idle_flushes=st.booleans())
def test_whatever_connection_is_behind_and_wherever_it_crashes_all_rows_are_exact_in_the_end(
    torn: Torn, crashes: set[int], idle_flushes: bool
) -> None:
    assert in_the_end(torn, crashes, idle_flushes) == torn.expected


@settings(max_examples=40)
@given(torn=torn_scrapes(series_come=False, first_in_time=True), crashes=CRASHES, idle_flushes=st.booleans())
def test_so_are_rows_of_known_series_where_the_journal_is_trimmed_as_early_as_can_be(
    torn: Torn, crashes: set[int], idle_flushes: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("receiver.pipeline.SPARE_SAMPLES", 0)
        patch.setattr("receiver.rows.tail.EVERY_MS", 0)
        assert in_the_end(torn, crashes, idle_flushes, horizon_seconds=1, gap_seconds=10) == torn.expected
