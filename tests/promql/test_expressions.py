"""What a feature's PromQL means, asked of a real Prometheus."""

from __future__ import annotations

from pathlib import Path

import pytest

from receiver import catalogue, promql
from tests.servers.process import Runner, wait_until
from tests.servers.prometheus import Prometheus
from tests.servers.target import target

NODE24 = catalogue.load()
EXPOSITION = """
node_cpu_seconds_total{cpu="0",mode="idle"} 10.5
node_cpu_seconds_total{cpu="1",mode="idle"} 20.25
node_cpu_seconds_total{cpu="1",mode="user"} 99
node_filesystem_avail_bytes{device="/dev/sda1",mountpoint="/"} 30
node_filesystem_size_bytes{device="/dev/sda1",mountpoint="/"} 40
node_filesystem_avail_bytes{device="/dev/sdb1",mountpoint="/data"} 1
node_filesystem_size_bytes{device="/dev/sdb1",mountpoint="/data"} 2
node_network_receive_bytes_total{device="lo"} 1000
node_network_receive_bytes_total{device="eth0"} 1
node_network_receive_bytes_total{device="eth1"} 2
node_network_receive_dropped_total{device="eth0"} 7
node_disk_read_bytes_total{device="sda"} 5
node_disk_read_bytes_total{device="sda1"} 5
"""
WITH_STATES = 'node_tcp_connection_states{state="time_wait"} 3\nnode_netstat_Tcp_CurrEstab 9\n'
WITHOUT_STATES = "node_netstat_Tcp_CurrEstab 9\n"


@pytest.mark.real("prometheus")
def test_the_expressions_give_the_raw_values_of_the_catalogue(run_server: Runner, tmp_path: Path) -> None:
    with target(EXPOSITION + WITH_STATES) as one, target(EXPOSITION + WITHOUT_STATES) as other:
        prometheus = run_server(Prometheus(_config({"a": one, "b": other}), tmp_path))
        wait_until(lambda: len(prometheus.query("up == 1")) == 2, "a scrape of both")
        values = {node: _values(prometheus, node) for node in ("a", "b")}
    common = {
        "cpu_sec_idle": 30.75,  # summed over CPUs, one mode
        "disk_av_per": 75.0,  # a quotient, scaled, of one mount point
        "net_receive": 3.0,  # without lo
        "receive_drop": 7.0,  # the second source, where the first does not exist
        "disk_read": 5.0,  # without partitions
    }
    assert values["a"] == {**common, "est_conn": 0.0, "lis_conn": 0.0}  # states with no connection are left out
    assert values["b"] == {**common, "est_conn": 9.0}  # lis_conn has no substitute


def test_with_a_window_counters_give_rates_and_gauges_what_they_are() -> None:
    plain, rates = promql.expressions(NODE24, 'node="a"'), promql.expressions(NODE24, 'node="a"', "5m")
    assert rates["cpu_sec_idle"].endswith('(rate(node_cpu_seconds_total{mode="idle", node="a"}[5m]))')
    assert {name for name, text in rates.items() if text != plain[name]} == {
        feature.name for feature in NODE24.features if feature.counter
    }


def _config(nodes: dict[str, str]) -> str:
    targets = "".join(
        f"      - {{targets: [{address}], labels: {{node: {name}}}}}\n" for name, address in nodes.items()
    )
    return f"global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: node\n    static_configs:\n{targets}"


def _values(prometheus: Prometheus, node: str) -> dict[str, float]:
    answers = {
        feature: prometheus.query(expression)
        for feature, expression in promql.expressions(NODE24, f'node="{node}"').items()
    }
    assert all(len(answer) <= 1 for answer in answers.values())  # one series per target
    return {feature: answer[0][1] for feature, answer in answers.items() if answer}
