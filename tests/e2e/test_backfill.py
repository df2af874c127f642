"""The service away for a while: a real Prometheus replays what it scraped meanwhile, and nobody else waits for that."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest

from receiver.columns import Rows
from receiver.store.embedded import EmbeddedReader
from tests.e2e import stored
from tests.e2e.chain import CATALOGUE, Receiver, configuration
from tests.servers.nodescore import Nodescore
from tests.servers.process import Runner, wait_until
from tests.servers.prometheus import NodeExporter, Prometheus

# Half an hour is what the service shall bear; the default shows the same in a test's time.
AWAY_SECONDS = int(os.environ.get("BACKFILL_SECONDS", "30"))
STALENESS_SECONDS = 10
INTERVAL_SECONDS = 1
# How late a live node's last row may be seen: its scrape, the sender's deadline (1 s), a flush, and a busy machine.
LIVE_AGE_SECONDS = 2 * INTERVAL_SECONDS + 1.5
# Prometheus adds with compensation and multiplies before it divides: the last bit may differ.
LAST_BIT = 1e-15


def ages_seconds(nodescore: Nodescore) -> dict[str, float]:
    """Age of the last row of each node that is exposed."""
    pattern = r'^anomaly_last_row_timestamp_seconds\{.*node="(\w+)"\} (\S+)$'
    found = re.findall(pattern, nodescore.metrics(), re.MULTILINE)
    return {node: time.time() - float(seconds) for node, seconds in found}


def rows_of(nodescore: Nodescore, node: str) -> Rows:
    """All stored rows of a node, by time."""
    reader = EmbeddedReader.open(nodescore.data_dir / "nodescore.sqlite", CATALOGUE)
    try:
        ids = [id_ for id_, name in reader.nodes().items() if name.node == node]
        return Rows.joined(list(reader.read_rows(0, 2**60, ids)), len(CATALOGUE.features))
    finally:
        reader.close()


@pytest.mark.real("prometheus", "node_exporter")
def test_a_replay_is_stored_whole_and_exposed_never_while_live_nodes_are_scored_in_time(
    run_server: Runner, tmp_path: Path
) -> None:
    exporter = run_server(NodeExporter(tmp_path))
    environment = {"NODESCORE_STALENESS_SECONDS": str(STALENESS_SECONDS)}
    services = [run_server(Nodescore(tmp_path, name=name, environment=environment)) for name in ("v1", "v2")]
    receivers = [Receiver(services[0].address, "v1"), Receiver(services[1].address, "v2")]

    def sender(node: str) -> Prometheus:
        return Prometheus(configuration({node: exporter.address}, receivers), tmp_path, node)

    def all_expose(node: str) -> bool:
        return all(node in ages_seconds(service) for service in services)

    replayed = run_server(sender("replayed"))
    wait_until(lambda: all_expose("replayed"), "a score before the outage")
    for service in services:
        service.stop()
    since_ms = time.time_ns() // 1_000_000
    wait_until(lambda: time.time_ns() // 1_000_000 >= since_ms + 1000 * AWAY_SECONDS, "the outage", AWAY_SECONDS + 5)
    for service in services:
        service.start()

    run_server(sender("live"))
    wait_until(lambda: all_expose("live"), "a live score")
    until_ms = time.time_ns() // 1_000_000
    live_ages, replayed_ages = [], []

    def caught_up() -> bool:
        for service in services:
            ages = ages_seconds(service)
            live_ages.append(ages.get("live", float("inf")))
            replayed_ages.append(ages.get("replayed", 0.0))
        return all(rows_of(service, "replayed").time_ms.max(initial=0) >= until_ms for service in services)

    wait_until(caught_up, "the end of the replay", 60 + AWAY_SECONDS / 10)
    assert max(live_ages) <= LIVE_AGE_SECONDS
    assert max(replayed_ages) <= STALENESS_SECONDS + 1
    for service in services:
        assert_is_what_prometheus_has(rows_of(service, "replayed"), replayed, since_ms, until_ms)


def assert_is_what_prometheus_has(rows: Rows, prometheus: Prometheus, since_ms: int, until_ms: int) -> None:
    """Every scrape once, those of the outage among them, with the values that Prometheus answers."""
    scraped = stored.scrape_times_ms(prometheus, "replayed")
    away = [time_ms for time_ms in scraped if since_ms <= time_ms <= until_ms]
    assert len(away) >= 0.9 * AWAY_SECONDS / INTERVAL_SECONDS
    assert rows.time_ms.tolist() == [time_ms for time_ms in scraped if time_ms <= rows.time_ms[-1]]
    for time_ms, raw in zip(rows.time_ms.tolist(), rows.raw.tolist(), strict=True):
        values = {name: value for name, value in zip(CATALOGUE.feature_names, raw, strict=True) if value == value}
        assert values == pytest.approx(stored.answered(prometheus, "replayed", time_ms), rel=LAST_BIT, abs=0)
