"""A model over the rows of a store, and what the store's labels say of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from models.backtest import Watched, said, watch
from models.table import Table
from receiver.catalogue import load
from receiver.columns import NodeName
from receiver.detector import Detector
from receiver.registry import shipped_model
from receiver.store import Label
from receiver.store.embedded import EmbeddedReader
from tests.models.nodes import START_MS, table
from tests.models.stored_rows import fill, write

END_MS = START_MS + 86_400_000
ATTACK_SECONDS = (1200, 1320)


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector.load(shipped_model(), load().feature_names)


@pytest.fixture(scope="module")
def rows() -> Table:
    """Three nodes for half an hour, attacked in it."""
    return table(nodes=3, seconds=1800, step=5, seed=4, attack=ATTACK_SECONDS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, rows: Table, detector: Detector) -> Path:
    return fill(tmp_path_factory.mktemp("data"), rows, detector)


@contextmanager
def opened(folder: Path) -> Iterator[EmbeddedReader]:
    reader = EmbeddedReader.open(folder / "nodescore.sqlite", load())
    try:
        yield reader
    finally:
        reader.close()


def label(name: NodeName, seconds: tuple[float, float], *, attack: bool, created: int = 0) -> Label:
    start, end = (START_MS + int(1000 * second) for second in seconds)
    return Label(name, start, end, attack, None, "", "me", created)


def test_the_model_that_scored_the_rows_gives_the_same_scores_again(folder: Path, detector: Detector) -> None:
    with opened(folder) as reader:
        watched = watch(reader, detector, 0, END_MS)
        (stored,) = reader.read_scores(0, END_MS)
    for node in watched:
        mine = stored.node == int(node.name.node.removeprefix("node-"))
        assert_array_equal(node.time_ms, stored.time_ms[mine])
        assert_array_equal(node.score, stored.score[mine])


def test_each_row_over_the_threshold_has_its_contributions(folder: Path, detector: Detector) -> None:
    with opened(folder) as reader:
        watched = watch(reader, detector, 0, END_MS)
    for node in watched:
        assert_array_equal(node.over, np.flatnonzero(node.score > 1))
        assert len(node.over) > 10
        assert node.contribution.sum(axis=1) == pytest.approx(node.score[node.over], rel=1e-3)


def test_a_score_uses_no_row_after_its_own(folder: Path, detector: Detector) -> None:
    until_ms = START_MS + 1_250_000
    with opened(folder) as reader:
        whole, cut = (watch(reader, detector, 0, end_ms) for end_ms in (END_MS, until_ms))
    for one, other in zip(whole, cut, strict=True):
        assert_array_equal(other.score, one.score[one.time_ms < until_ms])


def test_only_rows_of_the_span_are_read_and_every_node_begins_as_a_new_one(folder: Path, detector: Detector) -> None:
    since_ms = START_MS + 1_250_000
    with opened(folder) as reader:
        whole, late = (watch(reader, detector, start_ms, END_MS) for start_ms in (0, since_ms))
    assert [int(node.time_ms[0]) for node in late] == [since_ms] * 3
    assert late[0].score[0] != whole[0].score[whole[0].time_ms == since_ms]


def test_the_labels_of_a_node_say_which_of_its_rows_are_attacks_and_which_normal(
    tmp_path: Path, rows: Table, detector: Detector
) -> None:
    with opened(fill(tmp_path, rows, detector)) as reader:
        reader.add_label(label(NodeName("", "node-1"), ATTACK_SECONDS, attack=True))
        reader.add_label(label(NodeName("", "node-2"), (0, 60), attack=False))
        nodes = watch(reader, detector, 0, END_MS)
    assert [(node.attack.sum(), node.normal.sum()) for node in nodes] == [(0, 0), (25, 0), (0, 13)]
    seconds = (nodes[1].time_ms - START_MS) / 1000
    assert_array_equal(nodes[1].attack, (seconds >= 1200) & (seconds <= 1320))


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_labels_the_newer_one_holds(order: int) -> None:
    name = NodeName("", "a")
    labels = [label(name, (1, 4), attack=True, created=10), label(name, (3, 5), attack=False, created=20)]
    attack, normal = said(START_MS + 1000 * np.arange(7), labels[::order])
    assert np.flatnonzero(attack).tolist() == [1, 2]
    assert np.flatnonzero(normal).tolist() == [3, 4, 5]


def test_equal_node_names_in_two_clusters_are_two_nodes(tmp_path: Path, rows: Table, detector: Detector) -> None:
    names = (NodeName("us", "w"), NodeName("eu", "w"), NodeName("", "v"))
    with opened(fill(tmp_path, replace(rows, nodes=names), detector)) as reader:
        reader.add_label(label(names[0], ATTACK_SECONDS, attack=True))
        nodes = watch(reader, detector, 0, END_MS)
    assert [node.name for node in nodes] == sorted(names)
    assert {node.name: bool(node.attack.any()) for node in nodes} == {names[0]: True, names[1]: False, names[2]: False}


def test_a_store_without_rows_in_the_span_has_no_nodes(folder: Path, detector: Detector) -> None:
    with opened(folder) as reader:
        assert watch(reader, detector, 0, START_MS) == []


def test_timescaledb_says_what_the_embedded_store_says(
    timescale_dsn: str, folder: Path, rows: Table, detector: Detector
) -> None:
    from receiver.store.timescale import TimescaleStore

    store = TimescaleStore.connect(timescale_dsn, load())
    store.add_nodes(dict(enumerate(rows.nodes)))
    write(store, rows, detector)
    with opened(folder) as reader:
        embedded = watch(reader, detector, 0, END_MS)
    there = watch(store, detector, 0, END_MS)
    store.close()
    assert [_told(node) for node in there] == [_told(node) for node in embedded]


def test_progress_goes_by_the_time_of_the_rows(folder: Path, detector: Detector) -> None:
    told: list[tuple[int, int]] = []
    with opened(folder) as reader:
        watch(reader, detector, 0, START_MS + 2_000_000, lambda done, total: told.append((done, total)))
    assert told == [(1_795_000, 2_000_000)]


def _told(node: Watched) -> tuple[NodeName, list[int], list[float], list[int]]:
    return node.name, node.time_ms.tolist(), node.score.tolist(), node.over.tolist()
