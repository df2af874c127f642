"""What a row says: rates, sums, quotients, and what is missing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.rows.bench import AVAILABLE, CATALOGUE, CPU, DEADLINE_MS, DISK, LOAD, T0, Bench, raw, x
from tests.torn_scrapes import DISK_A, DISK_B, IDLE_0, IDLE_1, LOAD_1


def test_a_rate_is_made_per_series_and_divided_by_the_cpus(bench: Bench) -> None:
    bench.warm(IDLE_0, IDLE_1)
    bench.send([(IDLE_0, T0 + 10_000, 110.0), (IDLE_1, T0 + 10_000, 104.0)], T0 + 10_000)
    assert x(bench.depart(T0 + 10_000), CPU) == pytest.approx([0.7])


def test_the_rise_of_a_counter_that_was_reset_is_its_new_value(bench: Bench) -> None:
    bench.warm(DISK_A, DISK_B)
    bench.send([(DISK_A, T0 + 10_000, 130.0), (DISK_B, T0 + 10_000, 20.0)], T0 + 10_000)
    assert x(bench.depart(T0 + 10_000), DISK) == pytest.approx([3.0 + 2.0])


def test_a_first_row_has_no_rate(bench: Bench) -> None:
    bench.send([(DISK_A, T0, 1.0)], T0)
    assert np.isnan(x(bench.depart(T0 + DEADLINE_MS), DISK)).all()


def test_no_rate_is_made_across_a_gap_over_the_limit(bench: Bench) -> None:
    bench.warm(DISK_A)
    bench.send([(DISK_A, T0 + 300_001, 200.0)], T0 + 300_001)
    departure = bench.depart(T0 + 300_001 + DEADLINE_MS)
    assert raw(departure, DISK) == [200.0]
    assert np.isnan(x(departure, DISK)).all()


def test_a_feature_that_lacks_a_series_is_missing_and_never_a_partial_sum(bench: Bench) -> None:
    bench.warm(IDLE_0, IDLE_1, LOAD_1)
    bench.send([(IDLE_0, T0 + 10_000, 110.0), (LOAD_1, T0 + 10_000, 2.0)], T0 + 10_000)
    departure = bench.depart(T0 + 10_000 + DEADLINE_MS)
    assert np.isnan(raw(departure, CPU)).all()
    assert raw(departure, LOAD) == [2.0]
    assert departure.incomplete.tolist() == [True]


def test_a_device_that_comes_later_counts_at_once_and_has_its_rate_a_row_later(bench: Bench) -> None:
    bench.warm(DISK_A)
    for step in (1, 2):
        at = T0 + step * 10_000
        bench.send([(DISK_B, at, 50.0 * step), (DISK_A, at, 100.0 + 10 * step)], at)
        departure = bench.depart(at)
        assert raw(departure, DISK) == [100.0 + 10 * step + 50.0 * step]
        assert x(departure, DISK) == pytest.approx([math.nan if step == 1 else 1.0 + 5.0], nan_ok=True)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_number_is_missing(bench: Bench, value: float) -> None:
    bench.warm(DISK_A, LOAD_1)
    bench.send([(DISK_A, T0 + 10_000, value), (LOAD_1, T0 + 10_000, 1.0)], T0 + 10_000)
    departure = bench.depart(T0 + 10_000)
    assert np.isnan(raw(departure, DISK)).all()
    assert raw(departure, LOAD) == [1.0]


def test_a_metric_that_does_not_exist_is_missing(bench: Bench) -> None:
    bench.send([(LOAD_1, T0, 1.0)], T0)
    departure = bench.depart(T0 + DEADLINE_MS)
    assert np.isnan(raw(departure, AVAILABLE)).all()
    assert departure.incomplete.tolist() == [False]


def test_load_is_divided_by_the_number_of_cpus(bench: Bench) -> None:
    bench.send([(LOAD_1, T0, 3.0), (IDLE_0, T0, 1.0), (IDLE_1, T0, 1.0)], T0)
    assert x(bench.depart(T0 + DEADLINE_MS), LOAD) == [1.5]


def test_a_quotient_of_two_metrics(bench: Bench) -> None:
    available = {"__name__": "node_memory_MemAvailable_bytes"}
    total = {"__name__": "node_memory_MemTotal_bytes"}
    bench.send([(available, T0, 3.0), (total, T0, 4.0)], T0)
    assert raw(bench.depart(T0 + DEADLINE_MS), AVAILABLE) == [75.0]


def test_the_fallback_is_used_where_the_first_source_does_not_exist(bench: Bench) -> None:
    column = CATALOGUE.feature_names.index("est_conn")
    bench.send([({"__name__": "node_netstat_Tcp_CurrEstab"}, T0, 7.0)], T0)
    assert raw(bench.depart(T0 + DEADLINE_MS), column) == [7.0]


def test_a_connection_state_that_is_omitted_is_zero_where_the_others_have_been_seen(bench: Bench) -> None:
    column = CATALOGUE.feature_names.index("est_conn")
    listen = {"__name__": "node_tcp_connection_states", "state": "listen"}
    bench.send([({"__name__": "node_netstat_Tcp_CurrEstab"}, T0, 7.0), (listen, T0, 3.0)], T0)
    assert raw(bench.depart(T0 + DEADLINE_MS), column) == [0.0]


def test_load_is_missing_where_the_number_of_cpus_is_not_known(bench: Bench) -> None:
    bench.warm(IDLE_0, IDLE_1, LOAD_1)
    bench.send([(IDLE_0, T0 + 10_000, 110.0), (LOAD_1, T0 + 10_000, 2.0)], T0 + 10_000)
    departure = bench.depart(T0 + 10_000 + DEADLINE_MS)
    assert raw(departure, LOAD) == [2.0]
    assert np.isnan(x(departure, LOAD)).all()


def test_equal_instances_in_two_clusters_are_two_nodes(bench: Bench) -> None:
    bench.send([({**LOAD_1, "cluster": "x"}, T0, 1.0), ({**LOAD_1, "cluster": "y"}, T0, 2.0)], T0)
    departure = bench.depart(T0 + DEADLINE_MS)
    assert sorted(raw(departure, LOAD)) == [1.0, 2.0]
    assert {bench.table.nodes[node] for node in departure.rows.node} == {("x", "a:9100"), ("y", "a:9100")}
