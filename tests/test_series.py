"""Which label sets are one series, what is kept of them, and the limits."""

from __future__ import annotations

import numpy as np
import pytest

from receiver import catalogue
from receiver.columns import NodeName, Samples
from receiver.errors import LimitReached
from receiver.series import UNWANTED, SeriesTable

CATALOGUE = catalogue.load()
LOAD = {"__name__": "node_load1", "job": "node", "instance": "a:9100"}


@pytest.fixture
def table() -> SeriesTable:
    return SeriesTable(CATALOGUE, max_series=3, max_nodes=2)


def test_the_order_of_labels_does_not_matter(table: SeriesTable) -> None:
    assert table.resolve(LOAD) == table.resolve(dict(reversed(LOAD.items()))) == 0


def test_a_series_has_its_term_and_target(table: SeriesTable) -> None:
    series = table.resolve(LOAD)
    assert CATALOGUE.terms[table.term[series]].metric == "node_load1"
    assert table.targets[table.target[series]].key == ("node", "a:9100")
    assert table.nodes == {0: NodeName("", "a:9100")}


def test_series_of_one_instance_and_two_jobs_are_two_targets_of_one_node(table: SeriesTable) -> None:
    table.resolve(LOAD)
    table.resolve({**LOAD, "job": "other"})
    assert len(table.targets) == 2
    assert len(table.nodes) == 1


@pytest.mark.parametrize(
    "labels",
    [
        {**LOAD, "__name__": "up"},
        {**LOAD, "__name__": "node_cpu_seconds_total", "mode": "user"},
        {**LOAD, "__name__": "node_network_receive_bytes_total", "device": "veth12"},
        {"__name__": "node_load1", "job": "node"},
    ],
)
def test_what_the_catalogue_does_not_want_or_no_node_has_is_unwanted(
    table: SeriesTable, labels: dict[str, str]
) -> None:
    assert table.resolve(labels) == UNWANTED
    assert len(table) == 0


def test_labels_that_only_join_to_the_same_text_are_different_series(table: SeriesTable) -> None:
    assert table.resolve({**LOAD, "a": "bc"}) != table.resolve({**LOAD, "ab": "c"})


def test_a_series_over_the_limit_is_refused_and_known_ones_are_not(table: SeriesTable) -> None:
    for zone in "abc":
        table.resolve({**LOAD, "zone": zone})
    with pytest.raises(LimitReached, match="max_series"):
        table.resolve({**LOAD, "zone": "d"})
    assert table.resolve({**LOAD, "zone": "a"}) == 0


def test_a_node_over_the_limit_is_refused_by_name(table: SeriesTable) -> None:
    table.resolve(LOAD)
    table.resolve({**LOAD, "instance": "b:9100"})
    with pytest.raises(LimitReached, match="'c:9100'"):
        table.resolve({**LOAD, "instance": "c:9100"})


def test_new_series_are_told_until_they_are_written(table: SeriesTable) -> None:
    table.resolve(LOAD)
    series, nodes = table.new()
    assert (series, nodes) == ({0: tuple(sorted(LOAD.items()))}, {0: NodeName("", "a:9100")})
    table.written(series, nodes)
    assert table.new() == ({}, {})


def test_a_restored_table_knows_the_same_ids(table: SeriesTable) -> None:
    table.resolve(LOAD)
    table.resolve({**LOAD, "instance": "b:9100"})
    series, nodes = table.new()
    again = SeriesTable(CATALOGUE, 3, 2)
    again.restore(nodes, series.items())
    assert again.resolve({**LOAD, "instance": "b:9100"}) == 1
    assert again.nodes == table.nodes
    assert again.new() == ({}, {})


def test_journal_samples_of_series_that_are_no_longer_wanted_are_left_out(table: SeriesTable) -> None:
    table.restore(
        {0: NodeName("", "a:9100")},
        [(0, tuple(sorted(LOAD.items()))), (1, tuple(sorted({**LOAD, "__name__": "gone"}.items())))],
    )
    samples = Samples(np.array([1, 0, 10**6], np.int32), np.zeros(3, np.int64), np.arange(3.0))
    assert table.known(samples).value.tolist() == [1.0]


def test_a_forgotten_series_makes_room_and_gets_a_new_number(table: SeriesTable) -> None:
    for zone in "abc":
        table.resolve({**LOAD, "zone": zone})
    table.forget({1})
    series = table.resolve({**LOAD, "zone": "b"})
    assert (series, table.number[series]) == (1, 3)
    assert list(table.new()[0]) == [0, 1, 2, 3]


def test_ids_stay_few_while_names_come_and_go_and_numbers_are_never_given_again() -> None:
    table = SeriesTable(CATALOGUE, max_series=10, max_nodes=10)
    for name in range(100):
        series = table.resolve({**LOAD, "instance": f"{name}:9100"})
        assert (table.number[series], table.targets[table.target[series]].node) == (name, name)
        if name >= 3:
            oldest = [one for one in range(table.next_id) if table.number[one] == name - 3]
            table.forget(set(oldest), {int(table.target[oldest[0]])})
    assert (table.next_id, len(table.targets)) == (4, 4)


def test_the_journals_samples_come_back_under_the_ids_of_their_series(table: SeriesTable) -> None:
    for zone in "abc":
        table.resolve({**LOAD, "zone": zone})
    series, nodes = table.new()
    del series[0]
    samples = table.numbered(Samples(np.array([2, 0, 1], np.int32), np.zeros(3, np.int64), np.arange(3.0)))
    again = SeriesTable(CATALOGUE, 3, 2)
    again.restore(nodes, series.items())
    known = again.known(samples)
    assert again.number[known.series].tolist() == [2, 1]
    assert known.value.tolist() == [0.0, 2.0]
    assert again.resolve({**LOAD, "zone": "c"}) == known.series[0]


def test_a_node_without_series_makes_room_for_another(table: SeriesTable) -> None:
    table.resolve(LOAD)
    table.resolve({**LOAD, "instance": "b:9100"})
    table.forget({0})
    assert table.resolve({**LOAD, "instance": "c:9100"}) == 0
    with pytest.raises(LimitReached, match="max_nodes"):
        table.resolve(LOAD)
