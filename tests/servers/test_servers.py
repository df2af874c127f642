"""The harness itself: what later tests lean on."""

from __future__ import annotations

import subprocess
from pathlib import Path

import psycopg
import pytest

from tests.servers import places
from tests.servers.netns import Network
from tests.servers.obtain import no_service_started
from tests.servers.process import Runner, wait_until
from tests.servers.prometheus import Alertmanager, NodeExporter, Prometheus
from tests.servers.timescale import GivenServer, TimescaleServer


def scrape(job: str, *targets: str) -> str:
    return f"""
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: {job}
    static_configs: [{{targets: {list(targets)}}}]
"""


@pytest.mark.real("prometheus", "node_exporter")
def test_a_prometheus_scrapes_a_node_and_keeps_its_samples_through_a_restart(
    run_server: Runner, tmp_path: Path
) -> None:
    node = run_server(NodeExporter(tmp_path))
    prometheus = run_server(Prometheus(scrape("node", node.address), tmp_path))
    wait_until(lambda: prometheus.query("node_load1"), "a first scrape")
    (_, before), *_ = prometheus.samples("node_load1")
    prometheus.restart()
    (_, after), *_ = prometheus.samples("node_load1")
    assert before[0] in after


@pytest.mark.real("prometheus", "node_exporter")
def test_a_node_shows_its_tcp_states(run_server: Runner, tmp_path: Path) -> None:
    node = run_server(NodeExporter(tmp_path))
    prometheus = run_server(Prometheus(scrape("node", node.address), tmp_path))
    wait_until(lambda: prometheus.query('node_tcp_connection_states{state="listen"} > 0'), "listening sockets")


@pytest.mark.real("alertmanager")
def test_an_alertmanager_starts_empty(run_server: Runner, tmp_path: Path) -> None:
    assert run_server(Alertmanager(tmp_path)).alerts() == []


def test_a_timescale_database_has_the_extension_and_nothing_else(timescale_dsn: str) -> None:
    with psycopg.connect(timescale_dsn, autocommit=True) as connection:
        extensions = connection.execute("SELECT extname FROM pg_extension ORDER BY extname").fetchall()
        assert extensions == [("plpgsql",), ("timescaledb",)]
        assert connection.execute("SELECT FROM pg_tables WHERE schemaname = 'public'").fetchall() == []
        connection.execute("CREATE TABLE t (time timestamptz NOT NULL)")
        connection.execute("SELECT create_hypertable('t', by_range('time'))")


def test_a_timescale_server_comes_back_with_its_data(timescale: TimescaleServer, timescale_dsn: str) -> None:
    if isinstance(timescale, GivenServer):
        pytest.skip("the given server is not ours to stop")
    with psycopg.connect(timescale_dsn) as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS one")
    timescale.stop()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(timescale_dsn, connect_timeout=5)
    timescale.start()
    with psycopg.connect(timescale_dsn) as connection:
        assert connection.execute("SELECT one FROM t").fetchall() == [(1,)]


@pytest.mark.real("prometheus", "node_exporter", "nmap")
def test_a_scan_from_one_namespace_moves_the_network_counters_of_another(
    nodes_network: Network, run_server: Runner, tmp_path: Path
) -> None:
    node, attacker = nodes_network.add_host(), nodes_network.add_host()
    run_server(nodes_network.node_exporter(node, tmp_path))
    prometheus = run_server(Prometheus(scrape("node", f"{node.address}:9100"), tmp_path))
    packets = 'node_network_transmit_packets_total{device="eth0"}'
    ((_, before),) = wait_until(lambda: prometheus.query(packets), "a first scrape")
    subprocess.run(
        attacker.argv("nmap", "-sS", "-Pn", "-n", "-p1-500", "--host-timeout=20s", node.address),
        check=True,
        capture_output=True,
        timeout=30,
    )
    wait_until(lambda: prometheus.query(f"{packets} > {before + 500}"), "an answer to each probe")


def test_an_unknown_server_is_a_mistake_of_the_test() -> None:
    with pytest.raises(ValueError, match="no server is called"):
        places.find("postgre")


def test_while_packages_are_installed_no_service_is_started_and_afterwards_as_before(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    with no_service_started(policy):
        assert subprocess.run([policy, "nginx", "start"], check=False).returncode == 101
    assert not policy.exists()
    policy.write_text("#!/bin/sh\nexit 0\n")
    with no_service_started(policy):
        assert policy.read_text() == "#!/bin/sh\nexit 0\n"
    assert policy.exists()
