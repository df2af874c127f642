"""Two replicas over one TimescaleDB: the sender gives each node to one of them, and may give it to the other later."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest
import yaml

from tests import counting_model
from tests.e2e import stored
from tests.e2e.chain import CATALOGUE, Receiver, configuration
from tests.e2e.test_vmagent import VmAgent
from tests.servers.nodescore import Nodescore
from tests.servers.process import Runner, wait_until
from tests.servers.prometheus import NodeExporter, Prometheus

NODES = tuple(f"node-{number}" for number in range(8))
ROWS_BETWEEN = 5  # after each event, before the next
INTERVAL_MS = 1000
Rows = list[stored.Row]


@pytest.fixture
def replicas(run_server: Runner, timescale_dsn: str, tmp_path: Path) -> list[Nodescore]:
    """Two services on one database, with a model that counts a node's rows."""
    model = counting_model.write(tmp_path / "model.onnx", CATALOGUE)
    flags = [f"--store={timescale_dsn}", f"--model={model}"]
    return [run_server(Nodescore(tmp_path, flags, name)) for name in ("replica-0", "replica-1")]


def by_node(dsn: str) -> dict[str, Rows]:
    return {node: list(rows) for node, rows in itertools.groupby(stored.rows(dsn), lambda row: row.node)}


def wait_for_rows(dsn: str, nodes: tuple[str, ...] = NODES) -> None:
    """Until the database holds enough rows of every node that were scraped after now."""
    now_ms = time.time_ns() // 1_000_000

    def enough() -> bool:
        found = by_node(dsn)
        return all(sum(row.time_ms > now_ms for row in found.get(node, [])) >= ROWS_BETWEEN for node in nodes)

    wait_until(enough, f"{ROWS_BETWEEN} new rows of every node", timeout_seconds=60)


def restart_one_after_the_other(replicas: list[Nodescore], dsn: str) -> None:
    """Under load: one in order, one by a kill."""
    replicas[0].restart()
    wait_for_rows(dsn)
    replicas[1].kill()
    replicas[1].start()
    wait_for_rows(dsn)


def nodes_of(replica: Nodescore) -> set[str]:
    """The nodes whose scores a replica exposes."""
    metrics = replica.metrics()
    return {node for node in NODES if f'node="{node}"' in metrics}


def exporters(address: str) -> dict[str, str]:
    return dict.fromkeys(NODES, address)


@pytest.mark.real("vmagent", "node_exporter")
def test_behind_vmagent_each_node_has_one_replica_and_a_restart_loses_nothing(
    run_server: Runner, replicas: list[Nodescore], timescale_dsn: str, tmp_path: Path
) -> None:
    exporter = run_server(NodeExporter(tmp_path))
    targets = [{"targets": [exporter.address], "labels": {"node": node}} for node in NODES]
    scrape = {
        "global": {"scrape_interval": f"{INTERVAL_MS}ms"},
        "scrape_configs": [{"job_name": "node", "static_configs": targets}],
    }
    first, *others = [f"{replica.url}/api/v1/write" for replica in replicas]
    flags = [
        *(f"-remoteWrite.url={url}" for url in others),
        "-remoteWrite.shardByURL",
        "-remoteWrite.shardByURL.labels=node",
    ]
    run_server(VmAgent(yaml.safe_dump(scrape), first, tmp_path, flags))
    wait_for_rows(timescale_dsn)
    restart_one_after_the_other(replicas, timescale_dsn)

    shards = [nodes_of(replica) for replica in replicas]
    assert all(shards)
    assert not shards[0] & shards[1]
    assert shards[0] | shards[1] == set(NODES)

    # vmagent keeps nothing that could be asked, but scrapes to the millisecond. Its queues overtake each other after an
    # outage, so that a row may come when a later one has left: it waits for its deadline, and is stored but not scored.
    def no_scrape_is_missing() -> bool:
        return all(
            times_ms == list(range(times_ms[0], times_ms[-1] + 1, INTERVAL_MS))
            for times_ms in stored.times_ms(timescale_dsn).values()
        )

    wait_until(no_scrape_is_missing, "every scrape of every node")


@pytest.mark.real("prometheus", "node_exporter")
def test_behind_hashmod_a_restart_loses_nothing_and_a_node_that_moves_goes_on_with_its_state(
    run_server: Runner, replicas: list[Nodescore], timescale_dsn: str, tmp_path: Path
) -> None:
    exporter = run_server(NodeExporter(tmp_path))

    def sharded(first: int) -> str:
        """Prometheus's configuration; the nodes of remainder 0 go to the replica `first`."""
        receivers = [Receiver(replica.address, "v2") for replica in replicas]
        document = yaml.safe_load(configuration(exporters(exporter.address), receivers))
        for place, remote_write in enumerate(document["remote_write"]):
            remote_write["name"] = f"replica-{place}"
            remote_write["write_relabel_configs"] += [
                {"source_labels": ["node"], "modulus": 2, "target_label": "__tmp_shard", "action": "hashmod"},
                {"source_labels": ["__tmp_shard"], "regex": str((place + first) % 2), "action": "keep"},
                {"regex": "__tmp_shard", "action": "labeldrop"},
            ]
        return yaml.safe_dump(document)

    prometheus = run_server(Prometheus(sharded(0), tmp_path))
    wait_for_rows(timescale_dsn)
    before = [nodes_of(replica) for replica in replicas]
    assert all(before)
    restart_one_after_the_other(replicas, timescale_dsn)

    prometheus.config.write_text(sharded(1), encoding="utf-8")
    prometheus.restart()
    wait_for_rows(timescale_dsn)
    assert [nodes_of(replica) >= other for replica, other in zip(replicas, reversed(before), strict=True)] == [True] * 2

    found = by_node(timescale_dsn)
    assert found.keys() == set(NODES)
    for node, rows in found.items():
        newest = rows[-1].time_ms
        scraped = [time_ms for time_ms in stored.scrape_times_ms(prometheus, node) if time_ms <= newest]
        assert [row.time_ms for row in rows] == scraped
        # The model counts the rows that it has seen of a node.
        assert [round(100 * row.score) for row in rows] == list(range(1, len(rows) + 1))
