"""Which recorded nodes teach, and which test."""

from __future__ import annotations

import pytest

from models.scenarios import dataset, known
from receiver.catalogue import load
from receiver.settings import shipped_catalogue
from tests.workloads import WORKLOADS


def test_every_second_node_tests() -> None:
    assert known.sides([["c", "a", "b"]]) == {"a": "train", "b": "measure", "c": "train"}


def test_a_later_session_moves_no_node_to_the_other_side() -> None:
    first = known.sides([["b", "d"]])
    both = known.sides([["b", "d"], ["a", "b", "c"]])
    assert {node: both[node] for node in first} == first
    assert both == {"b": "train", "d": "measure", "a": "train", "c": "measure"}


def test_the_halves_share_no_node_and_their_attacks_are_those_that_the_rows_are_labelled_with() -> None:
    features = load().feature_names
    halves = [known.read(side, features, dataset.sessions()) for side in ("train", "measure")]
    names = []
    for half in halves:
        assert half is not None
        assert half.table.attack is not None
        names.append({name.node for name in half.table.nodes})
        for node, attack in half.attacks:
            assert half.table.nodes[node].node == attack.node
            inside = (half.table.node == node) & (half.table.time_ms >= attack.start_ms)
            assert half.table.attack[inside & (half.table.time_ms <= attack.end_ms)].all()
    assert not names[0] & names[1]


def test_without_a_side_all_nodes_of_a_folder_are_read() -> None:
    features = load().feature_names
    halves, both = (
        [known.read(side, features, dataset.sessions()) for side in ("train", "measure")],
        known.read(None, features, dataset.sessions()),
    )
    assert both is not None
    assert sum(len(half.table) for half in halves if half is not None) == len(both.table)
    assert sum(len(half.attacks) for half in halves if half is not None) == len(both.attacks)


def test_there_are_no_known_attacks_with_features_of_another_catalogue() -> None:
    assert known.read("train", ["requests_per_second"], dataset.sessions()) is None


@pytest.mark.parametrize("name", ["application", "pod"])
def test_what_teaches_of_applications_and_pods_has_no_rows_that_an_attack_before_them_still_moves(name: str) -> None:
    found = known.of(load(shipped_catalogue(name)), "train")
    assert found is not None
    table = found.table
    assert table.attack is not None
    quiet = ~table.attack
    for node, attack in found.attacks:
        quiet_ms = table.time_ms[quiet & (table.node == node)]
        still_ms = dataset.RECORDINGS[name].until_ms(attack)
        assert still_ms > attack.end_ms
        assert not ((quiet_ms > attack.end_ms) & (quiet_ms <= still_ms)).any()


def test_nothing_is_recorded_with_a_catalogue_of_ones_own() -> None:
    assert known.of(WORKLOADS, "train") is None
