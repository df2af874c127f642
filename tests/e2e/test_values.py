"""Every stored value is the one that Prometheus itself answers, whatever is restarted or reset on the way."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e import stored
from tests.e2e.chain import CATALOGUE, Receiver, configuration
from tests.servers.netns import EXPORTER_PORT, Network, ip
from tests.servers.nodescore import Nodescore
from tests.servers.process import Runner, wait_until
from tests.servers.prometheus import NodeExporter, Prometheus
from tests.servers.timescale import GivenServer, TimescaleServer, empty_database

# Prometheus adds with compensation and multiplies before it divides: the last bit may differ.
LAST_BIT = 1e-15
FLOAT32 = 1e-6
ROWS_BETWEEN = 5  # after each event, before the next


@dataclass
class Chain:
    prometheus: Prometheus
    services: dict[str, Nodescore]  # by protocol
    dsns: dict[str, str]
    nodes: tuple[str, ...]

    def rows(self, protocol: str) -> list[stored.Row]:
        return stored.rows(self.dsns[protocol])

    def wait_for_rows(self) -> None:
        """Until both databases hold enough rows of every node that were scraped after now."""
        now_ms = time.time_ns() // 1_000_000

        def enough() -> bool:
            new = [
                {protocol: sum(row.node == node and row.time_ms > now_ms for row in self.rows(protocol))}
                for protocol in self.services
                for node in self.nodes
            ]
            return all(count >= ROWS_BETWEEN for counts in new for count in counts.values())

        wait_until(enough, f"{ROWS_BETWEEN} new rows of every node in both databases", timeout_seconds=60)


@pytest.fixture
def chain(
    run_server: Runner, nodes_network: Network, timescale: TimescaleServer, tmp_path: Path
) -> Iterator[tuple[Chain, Network]]:
    host = nodes_network.add_host()
    exporters = {
        "machine": run_server(NodeExporter(tmp_path)).address,
        "apart": f"{host.address}:{EXPORTER_PORT}",
    }
    run_server(nodes_network.node_exporter(host, tmp_path))
    with ExitStack() as stack:
        dsns = {protocol: stack.enter_context(empty_database(timescale)) for protocol in ("v1", "v2")}
        services = {
            protocol: run_server(Nodescore(tmp_path, [f"--store={dsn}"], f"nodescore-{protocol}"))
            for protocol, dsn in dsns.items()
        }
        receivers = [
            Receiver(services["v1"].address, "v1", relabelled=False),
            Receiver(services["v2"].address, "v2"),
        ]
        prometheus = run_server(Prometheus(configuration(exporters, receivers), tmp_path))
        yield Chain(prometheus, services, dsns, tuple(exporters)), nodes_network
        run_server.stop_all()  # before the databases go


@pytest.mark.real("prometheus", "node_exporter")
def test_stored_rows_equal_what_prometheus_answers_through_restarts_and_a_counter_reset(
    chain: tuple[Chain, Network], timescale: TimescaleServer
) -> None:
    all_of_it, network = chain
    all_of_it.wait_for_rows()

    all_of_it.prometheus.restart()
    all_of_it.wait_for_rows()

    all_of_it.services["v1"].restart()
    all_of_it.services["v2"].kill()
    all_of_it.services["v2"].start()
    all_of_it.wait_for_rows()

    if not isinstance(timescale, GivenServer):
        timescale.stop()
        wait_for_scores(all_of_it, scrapes=ROWS_BETWEEN)
        timescale.start()
        all_of_it.wait_for_rows()

    reset_counters(network)
    all_of_it.wait_for_rows()

    for protocol, node in itertools.product(all_of_it.services, all_of_it.nodes):
        rows = [row for row in all_of_it.rows(protocol) if row.node == node]
        assert_every_scrape_is_stored_once(all_of_it.prometheus, node, rows)
        assert_raw_values_are_prometheus_answers(all_of_it.prometheus, rows)
        # A scrape may have met the host between its two interfaces; then Prometheus has no network metrics either,
        # and the new counters are new series, which do not fall.
        lacking = [row for row in rows if row.raw.keys() != set(CATALOGUE.feature_names)]
        assert len(lacking) <= (1 if node == "apart" else 0)
        assert_rates_are_of_the_series(all_of_it.prometheus, node, rows, has_reset=node == "apart" and not lacking)


def wait_for_scores(chain: Chain, scrapes: int) -> None:
    """Until every node was scored so many times more, whatever the database does."""
    last = 'anomaly_last_row_timestamp_seconds{job="nodescore"}'
    begin = time.time()
    wanted = len(chain.services) * len(chain.nodes)
    wait_until(lambda: len(chain.prometheus.query(f"{last} > {begin + scrapes}")) == wanted, "scores go on")


def reset_counters(network: Network) -> None:
    """Give the host a new interface in place of its old one: its counters begin at 0."""
    host = network.hosts[0]
    ip("-n", host.namespace, "link", "delete", "eth0")
    network.plug(host)


def assert_every_scrape_is_stored_once(prometheus: Prometheus, node: str, rows: list[stored.Row]) -> None:
    scraped = stored.scrape_times_ms(prometheus, node)
    newest = rows[-1].time_ms
    assert [row.time_ms for row in rows] == [time_ms for time_ms in scraped if time_ms <= newest]


def assert_raw_values_are_prometheus_answers(prometheus: Prometheus, rows: list[stored.Row]) -> None:
    for row in rows:
        assert row.raw == pytest.approx(stored.answered(prometheus, row.node, row.time_ms), rel=LAST_BIT, abs=0), row


def assert_rates_are_of_the_series(
    prometheus: Prometheus, node: str, rows: list[stored.Row], *, has_reset: bool
) -> None:
    counters = stored.Counters(prometheus, node)
    resets = compared = 0
    for before, after in itertools.pairwise(rows):
        for feature in CATALOGUE.features:
            if not feature.counter:
                continue
            rate = counters.rate(feature.name, before.time_ms, after.time_ms)
            if rate is None or feature.name not in after.x:
                continue
            per = 1 if feature.per is None else counters.count(feature.name, after.time_ms)
            assert after.x[feature.name] == pytest.approx(rate / per, rel=FLOAT32, abs=1e-9), (feature.name, after)
            compared += 1
            resets += counters.fell(feature.name, before.time_ms, after.time_ms)
    assert compared > len(rows) * 5
    assert (resets > 0) == has_reset
