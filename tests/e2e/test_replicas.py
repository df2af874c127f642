"""A high-availability pair: two Prometheus servers that scrape the same node and send all of it, one of which dies."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from receiver.columns import Rows
from receiver.replicas import FAIL_OVER_MS
from receiver.store.embedded import EmbeddedReader
from tests.e2e.chain import CATALOGUE, Receiver, configuration
from tests.e2e.stored import scrape_times_ms
from tests.servers.nodescore import Nodescore
from tests.servers.process import Runner, wait_until
from tests.servers.prometheus import NodeExporter, Prometheus

NODE = "machine"
INTERVAL_MS = 1000
ROWS_BEFORE = 10
ROWS_AFTER = 5


def stored(nodescore: Nodescore) -> Rows:
    """All rows of the only node, by time."""
    reader = EmbeddedReader.open(nodescore.data_dir / "nodescore.sqlite", CATALOGUE)
    try:
        assert len(reader.nodes()) <= 1
        return Rows.joined(list(reader.read_rows(0, 2**60)), len(CATALOGUE.features))
    finally:
        reader.close()


def replica(name: str, exporter: NodeExporter, nodescore: Nodescore, folder: Path) -> Prometheus:
    """One of the pair, with the labels that the Prometheus Operator sets."""
    document = yaml.safe_load(configuration({NODE: exporter.address}, [Receiver(nodescore.address, "v2")]))
    document["global"]["external_labels"] |= {"prometheus": "monitoring/k8s", "prometheus_replica": name}
    return Prometheus(yaml.safe_dump(document), folder, name)


def elected(nodescore: Nodescore) -> str | None:
    found = re.search(
        r'nodescore_replica_elected\{replica="(\w+)",replica_set="lab/monitoring/k8s"\} 1', nodescore.metrics()
    )
    return found and found[1]


@pytest.mark.real("prometheus", "node_exporter")
def test_one_replica_is_stored_and_the_other_steps_in_without_a_break_of_rates(
    run_server: Runner, tmp_path: Path
) -> None:
    exporter = run_server(NodeExporter(tmp_path))
    nodescore = run_server(Nodescore(tmp_path))
    pair = {name: run_server(replica(name, exporter, nodescore, tmp_path)) for name in ("a", "b")}
    wait_until(lambda: len(stored(nodescore)) >= ROWS_BEFORE, "rows of a replica")
    first = wait_until(lambda: elected(nodescore), "an elected replica")
    (second,) = pair.keys() - {first}
    duplicates = re.search(r"^nodescore_samples_duplicate_total (\S+)", nodescore.metrics(), re.MULTILINE)
    assert duplicates is not None
    assert float(duplicates[1]) > 0

    before = stored(nodescore).time_ms
    of_first = scrape_times_ms(pair[first], NODE)
    pair[first].kill()
    wait_until(
        lambda: len(stored(nodescore)) >= len(before) + ROWS_AFTER, "rows of the other", FAIL_OVER_MS / 1000 + 30
    )

    rows = stored(nodescore)
    # Some of their times may be the same by chance, so the hole tells where the other steps in.
    steps_ms = np.diff(rows.time_ms)
    gap = int(np.argmax(steps_ms)) + 1
    assert gap >= len(before)
    assert steps_ms[gap - 1] <= FAIL_OVER_MS + 10 * INTERVAL_MS
    assert set(before.tolist()) <= set(of_first)
    assert set(rows.time_ms[gap:].tolist()) <= set(scrape_times_ms(pair[second], NODE))
    # No row is less whole than the ones before it, and none lacks a rate: the series are the same.
    has_rate = np.isfinite(rows.x[1:])
    assert (has_rate == has_rate[0]).all()
    assert wait_until(lambda: elected(nodescore) == second, "the other elected")
