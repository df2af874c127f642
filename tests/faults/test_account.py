"""The harness sees what it looks for: a row that is lost, that is there twice, or that has a wrong value."""

from __future__ import annotations

import pytest

from receiver import catalogue
from tests.faults.account import Account, difference, markdown
from tests.faults.fleet import STALE, Fleet
from tests.faults.oracle import Key, Labels, Sample, Values, expected_rows

CATALOGUE = catalogue.load()
ONE, TWO = Key("east", "n1", 1000), Key("east", "n1", 2000)
VALUES: Values = {"load1": 1.5, "intr": 7.0}


def labels(metric: str, **more: str) -> Labels:
    own = {"__name__": metric, "cluster": "east", "node": "n1", "job": "node", "instance": "10.0.0.1:9100"}
    return tuple(sorted({**own, **more}.items()))


def values_of(*samples: tuple[Labels, float]) -> Values:
    """Of one row that these samples make, all at the same time."""
    rows = expected_rows((Sample(named, 1000, value) for named, value in samples), CATALOGUE)
    assert rows.keys() == {ONE}
    return rows[ONE]


def test_equal_rows_have_no_difference() -> None:
    assert difference({ONE: VALUES, TWO: VALUES}, [(TWO, dict(VALUES)), (ONE, dict(VALUES))]).none


def test_a_row_that_is_not_stored_is_lost() -> None:
    found = difference({ONE: VALUES, TWO: VALUES}, [(ONE, VALUES)])
    assert (found.lost, found.duplicated, found.wrong) == (1, 0, 0)


def test_a_row_that_is_stored_three_times_is_duplicated_twice() -> None:
    found = difference({ONE: VALUES}, [(ONE, VALUES)] * 3)
    assert (found.lost, found.duplicated, found.wrong) == (0, 2, 0)


@pytest.mark.parametrize(
    "stored", [{"load1": 1.5, "intr": 8.0}, {"load1": 1.5}, {**VALUES, "forks_total": 1.0}], ids=str
)
def test_a_row_with_another_a_missing_or_an_additional_value_is_wrong(stored: Values) -> None:
    found = difference({ONE: VALUES}, [(ONE, stored)])
    assert (found.lost, found.duplicated, found.wrong) == (0, 0, 1)


def test_a_row_that_nobody_sent_is_wrong() -> None:
    assert difference({ONE: VALUES}, [(ONE, VALUES), (TWO, VALUES)]).wrong == 1


def test_a_feature_is_the_sum_of_the_series_that_the_catalogue_wants() -> None:
    metric = "node_network_receive_bytes_total"
    devices = {"eth0": 3.0, "eth1": 4.0, "lo": 100.0}
    assert values_of(*((labels(metric, device=d), value) for d, value in devices.items())) == {"net_receive": 7.0}


def test_a_feature_may_be_a_scaled_quotient() -> None:
    size, free = (
        labels("node_filesystem_size_bytes", mountpoint="/"),
        labels("node_filesystem_avail_bytes", mountpoint="/"),
    )
    assert values_of((size, 8.0), (free, 2.0)) == {"disk_av_per": 25.0}


def test_a_state_that_the_exporter_omits_is_zero() -> None:
    listening = labels("node_tcp_connection_states", state="listen")
    assert values_of((listening, 5.0)) == {"lis_conn": 5.0, "est_conn": 0.0}


def test_a_scrape_of_staleness_markers_is_no_row() -> None:
    assert expected_rows([Sample(labels("node_load1"), 1000, STALE)], CATALOGUE) == {}


def test_every_node_of_the_fleet_has_every_feature() -> None:
    fleet = Fleet(nodes=3, seed=1, devices_change=False)
    samples = [
        Sample(fleet.series[id_].labels, 1000, value)
        for node in fleet.nodes
        for id_, value in node.scrape(1000).samples
    ]
    rows = expected_rows(samples, CATALOGUE)
    assert rows.keys() == {Key("east", "twin", 1000), Key("west", "twin", 1000), Key("east", "n2", 1000)}
    assert all(values.keys() == set(CATALOGUE.feature_names) for values in rows.values())


def test_a_device_that_is_taken_out_ends_with_markers_and_comes_back() -> None:
    node = Fleet(nodes=1, seed=1, devices_change=True).nodes[0]
    kinds = set()
    for number in range(100):
        scrape = node.scrape(number)
        kinds.add((len(scrape.samples), sum(value != value for _, value in scrape.samples)))
    changing = sum(series.comes_and_goes for series in node.series)
    every = len(node.series)
    assert {(every, 0), (every, changing), (every - changing, 0)} <= kinds


def test_the_table_is_markdown() -> None:
    table = markdown([Account("kill -9", "embedded", 100, 2000, 80_000, 1300, 1300, 0, 0, 0)])
    assert table.splitlines()[-1] == "| kill -9 | embedded | 100 | 2,000 | 80,000 | 1,300 | 1,300 | 0 | 0 | 0 |"
