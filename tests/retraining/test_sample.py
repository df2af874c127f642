"""Which rows of a store are read to learn from."""

from __future__ import annotations

import numpy as np
import pytest

from models.detectors import zscore
from models.own_threshold import Alarm
from models.retraining import sample
from models.run import probe
from receiver.catalogue import load
from receiver.columns import NodeName
from receiver.store import Label
from receiver.store.embedded import EmbeddedReader
from tests.models.nodes import FEATURES, START_MS, table
from tests.models.stored_rows import fill

HOURS = 12
HOUR_MS = 3_600_000
ROWS_OF_HOUR = 3 * 60  # of three nodes, one a minute


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedReader:
    rows = table(nodes=3, seconds=HOURS * 3600, step=60)
    folder = fill(tmp_path_factory.mktemp("store"), rows, probe(zscore.fit(rows).at(Alarm(5.0))))
    return EmbeddedReader.open(folder / "nodescore.sqlite", load())


def drawn(reader: EmbeddedReader, labels: list[Label], most_rows: int = 10**6, seed: int = 0) -> sample.Sample:
    found = sample.draw(reader, labels, START_MS, START_MS + HOURS * HOUR_MS, FEATURES, seed, most_rows)
    assert found is not None
    return found


def label(hour: float, minutes: float = 5, node: str = "node-1") -> Label:
    start_ms = START_MS + int(hour * HOUR_MS)
    return Label(NodeName("", node), start_ms, start_ms + int(minutes * 60_000), True, "TP", "", "ann", start_ms)


def test_all_rows_are_read_where_there_are_few(reader: EmbeddedReader) -> None:
    found = drawn(reader, [])
    assert len(found.table) == HOURS * ROWS_OF_HOUR
    assert found.drawn.all()
    assert found.table.nodes == tuple(NodeName("", f"node-{number}") for number in range(3))


def test_rows_come_by_node_and_time_each_once(reader: EmbeddedReader) -> None:
    found = drawn(reader, [label(3), label(3.01)])
    assert len(found.table) == HOURS * ROWS_OF_HOUR
    same_node = np.diff(found.table.node) == 0
    assert (np.diff(found.table.time_ms)[same_node] > 0).all()
    assert (np.diff(found.table.node) >= 0).all()


def test_whole_hours_are_drawn_until_there_are_enough_rows(reader: EmbeddedReader) -> None:
    found = drawn(reader, [], most_rows=2 * ROWS_OF_HOUR - 1)
    hours, counts = np.unique((found.table.time_ms - START_MS) // HOUR_MS, return_counts=True)
    assert len(hours) == 2
    assert counts.tolist() == [ROWS_OF_HOUR] * 2


def test_another_seed_draws_other_hours_and_the_same_one_the_same(reader: EmbeddedReader) -> None:
    times = [set(drawn(reader, [], 1, seed).table.time_ms.tolist()) for seed in (1, 1, 2, 3, 4)]
    assert times[0] == times[1]
    assert len({min(one) for one in times}) > 1


def test_what_lies_around_a_label_is_read_whatever_is_drawn_and_told_from_it(reader: EmbeddedReader) -> None:
    hour = int((min(drawn(reader, [], 1).table.time_ms) - START_MS) // HOUR_MS)
    elsewhere = (hour + 6) % HOURS + 0.5
    found = drawn(reader, [label(elsewhere)], 1)
    near = found.table.time_ms[~found.drawn]
    at_ms = START_MS + elsewhere * HOUR_MS
    assert near.min() == at_ms - sample.LEAD_MS
    assert near.max() == at_ms + 5 * 60_000 + sample.AFTER_MS - 60_000
    assert set(found.table.node[~found.drawn].tolist()) == {1}


def test_of_a_long_label_its_beginning_is_read(reader: EmbeddedReader) -> None:
    hour = int((min(drawn(reader, [], 1).table.time_ms) - START_MS) // HOUR_MS)
    start = (hour + 4) % 6
    found = drawn(reader, [label(start, minutes=300)], 1)
    near = found.table.time_ms[~found.drawn]
    assert near.max() <= START_MS + start * HOUR_MS + sample.LONGEST_MS + sample.AFTER_MS


def test_a_label_of_a_node_that_is_not_known_is_left_out(reader: EmbeddedReader) -> None:
    assert drawn(reader, [label(1, node="gone")]).labels == ()


def test_a_store_without_scores_gives_no_sample(reader: EmbeddedReader) -> None:
    assert sample.draw(reader, [], 0, 1, FEATURES, 0) is None
