"""From a request to a stored row and an exposed score."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from receiver.columns import NodeName
from receiver.errors import Unavailable
from receiver.housekeeping import Housekeeping
from receiver.rows.assembler import BLOCK_ROWS
from tests.running import CATALOGUE, DEADLINE_MS, STEP_MS, running, scrape, stored
from tests.wire.requests import HEADERS, NOW_MS, Series, body, series
from tests.workloads import WORKLOADS


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
    def sample(name: str, time_ms: int, value: float, **labels: str) -> Series:
        labels = {"__name__": name, "workload": "web-1", "namespace": "shop", "region": "eu", **labels}
        return Series(sorted(labels.items()), [(value, time_ms)])

    with running(tmp_path, wanted=WORKLOADS) as pipeline:
        for step in (0, 1):
            at_ms = NOW_MS + step * STEP_MS
            sent = [
                sample("http_requests_total", at_ms, 100.0 + 50 * step, path="/"),
                sample("http_requests_total", at_ms, 10.0 + 10 * step, path="/cart"),
                sample("memory_bytes", at_ms, 30.0),
                sample("memory_limit_bytes", at_ms, 120.0),
                sample("replicas", at_ms, 2.0, state="up"),
                sample("node_load1", at_ms, 1.0),
            ]
            pipeline.ingest(body(version, sent), HEADERS[version], at_ms)
            pipeline.flush(at_ms + DEADLINE_MS)
        (rows,) = pipeline.store.read_rows(0, 2**62)
        text = pipeline.exposition.render("")[0].decode()
    assert rows.raw[-1].tolist() == [340.0, 25.0, 2.0, 0.0]
    assert rows.x[-1].tolist() == pytest.approx([12.0, 25.0, 2.0, 0.0])
    assert 'anomaly_score{cluster="eu",workload="web-1"} 0.02' in text
    with closing(sqlite3.connect(tmp_path / "store.sqlite")) as file:
        assert file.execute("SELECT count(*) FROM workload_samples").fetchone() == (2,)


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


def test_too_many_waiting_samples_ask_the_sender_to_wait(tmp_path: Path) -> None:
    with running(tmp_path, max_open_samples=5) as pipeline:
        pipeline.ingest(body(1, [*scrape(0), *scrape(1)]), HEADERS[1], NOW_MS + STEP_MS)
        with pytest.raises(Unavailable, match="max_open_samples"):
            pipeline.ingest(body(1, scrape(2)), HEADERS[1], NOW_MS + 2 * STEP_MS)
