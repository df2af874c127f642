"""What a decoder remembers of the labels that it has parsed, and how much of that at most."""

from __future__ import annotations

import pytest

from receiver import catalogue
from receiver.replicas import NO_REPLICA
from receiver.series import UNWANTED, SeriesTable
from receiver.wire import known as known_module
from receiver.wire.known import KnownSeries
from tests.wire.requests import HEADERS, NOW_MS, body, decoder, series


def known() -> KnownSeries:
    return KnownSeries(SeriesTable(catalogue.load(), max_series=10, max_nodes=10))


def spelled(number: int) -> list[tuple[str, str]]:
    return [("__name__", "node_load1"), ("zone", str(number))]


def test_labels_are_learnt_once() -> None:
    one = known()
    one.learn(spelled(1), 0, NO_REPLICA)
    one.learn(spelled(1), 0, NO_REPLICA)
    assert len(one.keys) == 1


@pytest.mark.parametrize(("length", "most"), [(1, 130), (2000, 5)])
def test_refusals_are_forgotten_before_they_take_too_much_memory(
    monkeypatch: pytest.MonkeyPatch, length: int, most: int
) -> None:
    monkeypatch.setattr(known_module, "MAX_REFUSED_BYTES", 10_000)
    one = known()
    counts = []
    for number in range(1000):
        one.learn([*spelled(number), ("device", "x" * length)], UNWANTED, NO_REPLICA)
        counts.append(len(one.keys))
    assert most / 2 < max(counts) <= most


def test_spellings_of_a_series_are_forgotten_before_they_take_too_much_memory() -> None:
    one = known()
    for number in range(1000):
        one.learn(spelled(number), 7, NO_REPLICA)
    assert 0 < len(one.keys) <= known_module.MAX_SPELLINGS + 1


@pytest.mark.parametrize("version", [1, 2])
def test_a_forgotten_series_is_parsed_again_and_gets_a_new_number(version: int) -> None:
    one = decoder()
    request = body(version, [series("node_load1")])
    first = one.decode(request, HEADERS[version], NOW_MS)
    one.known.table.forget({0})
    one.forget([0])
    again = one.decode(request, HEADERS[version], NOW_MS)
    assert len(first.samples) == 1
    assert one.known.table.numbered(again.samples).series.tolist() == [1]


def test_both_versions_learn_the_same_labels() -> None:
    one = decoder()
    for version in (1, 2):
        one.decode(body(version, [series("node_load1", zone=""), series("node_load5")]), HEADERS[version], NOW_MS)
    assert len(one.known.keys) == 2
