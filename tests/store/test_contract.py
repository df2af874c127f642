"""What every store does with rows and scores: the same tests on SQLite and on a real TimescaleDB."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver.columns import NodeName, Rows, Scores
from receiver.store import RowStore
from receiver.store.embedded import reader
from receiver.store.timescale import store as timescale_store
from tests.store.data import (
    DAY_MS,
    FEATURES,
    NAN,
    T0,
    Row,
    finished,
    ids,
    label,
    names,
    scores_of,
    stored_rows,
    stored_scores,
)

PUMP_1 = NodeName("east", "pump-1")


def reads_of(store: RowStore) -> tuple[Callable[..., Iterator[Rows | Scores]], ...]:
    """Both kinds of reading, which keep the same rules."""
    return store.read_rows, store.read_scores


def test_a_row_comes_back_as_it_was_written(store: RowStore) -> None:
    store.add_nodes(names(1))
    store.write(finished([(1, T0, (1.5, NAN, -3e300))]))
    assert stored_rows(store) == {(PUMP_1, T0): (1.5, None, -3e300)}


def test_extreme_values_are_exact(store: RowStore) -> None:
    store.add_nodes(names(1))
    values = (np.nextafter(0, 1), np.finfo(np.float64).max, float("inf"))
    store.write(finished([(1, T0, values), (1, T0 + 1, (-float("inf"), 2.0**53 + 2, 0.1))]))
    assert stored_rows(store) == {(PUMP_1, T0): values, (PUMP_1, T0 + 1): (-float("inf"), 2.0**53 + 2, 0.1)}


def test_equal_names_in_two_clusters_are_two_nodes(store: RowStore) -> None:
    store.add_nodes({1: NodeName("east", "pump"), 2: NodeName("west", "pump"), 3: NodeName("", "pump")})
    store.write(finished([(1, T0, (1, 1, 1)), (2, T0, (2, 2, 2)), (3, T0, (3, 3, 3))]))
    assert stored_rows(store) == {
        (NodeName("east", "pump"), T0): (1, 1, 1),
        (NodeName("west", "pump"), T0): (2, 2, 2),
        (NodeName("", "pump"), T0): (3, 3, 3),
    }


def test_naming_a_node_again_changes_nothing(store: RowStore) -> None:
    store.add_nodes(names(3))
    before = store.nodes()
    store.add_nodes(names(3))
    assert store.nodes() == before
    assert set(before.values()) == set(names(3).values())


def test_a_row_of_an_unnamed_node_is_refused(store: RowStore) -> None:
    store.add_nodes(names(1))
    with pytest.raises(ValueError, match=r"not named: \[7\]"):
        store.write(finished([(1, T0, (1, 1, 1)), (7, T0, (1, 1, 1))]))
    assert stored_rows(store) == {}


def test_a_remade_row_wins_where_it_has_a_value_and_keeps_what_it_lacks(store: RowStore) -> None:
    store.add_nodes(names(1))
    store.write(finished([(1, T0, (1, 2, NAN))]))
    store.write(finished([(1, T0, (10, NAN, 30))]))
    assert stored_rows(store) == {(PUMP_1, T0): (10, 2, 30)}


def test_a_fill_is_taken_only_where_the_row_lacks_it(store: RowStore) -> None:
    store.add_nodes(names(1))
    store.write(finished([(1, T0, (1, NAN, NAN))]))
    store.write(finished(fills=[(1, T0, (10, 20, NAN))]))
    assert stored_rows(store) == {(PUMP_1, T0): (1, 20, None)}


def test_a_fill_without_a_row_is_kept_and_gives_way_to_the_row(store: RowStore) -> None:
    store.add_nodes(names(1))
    store.write(finished(fills=[(1, T0, (10, 20, NAN))]))
    assert stored_rows(store) == {(PUMP_1, T0): (10, 20, None)}
    store.write(finished([(1, T0, (1, NAN, 3))]))
    assert stored_rows(store) == {(PUMP_1, T0): (1, 20, 3)}


def test_pieces_of_one_row_in_one_flush_are_taken_in_their_order(store: RowStore) -> None:
    store.add_nodes(names(2))
    rows: list[Row] = [(1, T0, (1, NAN, NAN)), (2, T0, (5, 5, 5)), (1, T0, (2, 2, NAN)), (1, T0, (NAN, 3, NAN))]
    store.write(finished(rows, fills=[(1, T0, (9, 9, 9)), (1, T0, (8, 8, 8))]))
    assert stored_rows(store)[PUMP_1, T0] == (2, 3, 9)


def test_a_score_comes_back_as_it_was_written(store: RowStore) -> None:
    store.add_nodes(names(2))
    store.write(
        finished(
            [(1, T0, (1, 2, 3)), (2, T0, (4, 5, 6))],
            scores=scores_of((1, T0, 1.25, (0.5, NAN, -1), (0.75, 0.25, 0)), (2, T0, 0.5, (1, 2, 3), (NAN,) * 3)),
        )
    )
    assert stored_scores(store) == {
        (PUMP_1, T0): (1.25, (0.5, None, -1), (0.75, 0.25, 0)),
        (names(2)[2], T0): (0.5, (1, 2, 3), (None, None, None)),
    }


def test_a_row_brings_the_vector_that_was_scored(store: RowStore) -> None:
    store.add_nodes(names(1))
    rows: list[Row] = [(1, T0, (1, 2, 3)), (1, T0 + 10, (4, 5, 6))]
    store.write(finished(rows, scores=scores_of((1, T0 + 10, 0.5, (0.25, NAN, 9), (NAN,) * 3))))
    (block,) = store.read_rows(0, 1 << 50)
    np.testing.assert_array_equal(block.x, np.array([[NAN] * 3, [0.25, NAN, 9]], np.float32))


def test_a_row_is_scored_once(store: RowStore) -> None:
    store.add_nodes(names(1))
    store.write(finished(scores=scores_of((1, T0, 0.5, (1, 2, 3), (1, 0, 0)))))
    store.write(finished(scores=scores_of((1, T0, 0.75, (3, 2, 1), (0, 1, 0))), model_version="v2"))
    assert stored_scores(store) == {(PUMP_1, T0): (0.5, (1, 2, 3), (1, 0, 0))}


def test_writing_the_same_again_changes_nothing(store: RowStore) -> None:
    store.add_nodes(names(1))
    same = finished(
        [(1, T0, (1, NAN, 3))], fills=[(1, T0 - 9, (NAN, 2, NAN))], scores=scores_of((1, T0, 0.5, (1, 2, 3), (1, 0, 0)))
    )
    store.write(same)
    rows, scores = stored_rows(store), stored_scores(store)
    store.write(same)
    assert (stored_rows(store), stored_scores(store)) == (rows, scores)


def test_an_empty_flush_is_fine(store: RowStore) -> None:
    store.write(finished())
    assert list(store.read_rows(0, 1 << 50)) == []
    assert list(store.read_scores(0, 1 << 50)) == []


def test_reads_are_by_time_and_node_and_leave_out_the_end(store: RowStore) -> None:
    store.add_nodes(names(3))
    times = [T0 + 20, T0, T0 + 10]
    rows: list[Row] = [(node, time_ms, (node, time_ms, 0)) for node in (3, 1, 2) for time_ms in times]
    store.write(finished(rows, scores=scores_of(*((n, t, 0.5, (n, 0, 0), (0, 0, 0)) for n, t, _ in rows))))
    for read in reads_of(store):
        blocks = list(read(T0, T0 + 20))
        assert np.concatenate([block.time_ms for block in blocks]).tolist() == [T0] * 3 + [T0 + 10] * 3
        order = np.concatenate([block.node for block in blocks]).tolist()
        assert order == sorted(order[:3]) * 2


def test_reads_can_be_of_some_nodes(store: RowStore) -> None:
    store.add_nodes(names(4))
    rows: list[Row] = [(node, T0 + i, (node, i, 0)) for node in (1, 2, 3) for i in range(3)]
    store.write(finished(rows, scores=scores_of(*((n, t, 0.5, (n, 0, 0), (0, 0, 0)) for n, t, _ in rows))))
    some = [ids(store)[PUMP_1], ids(store)[NodeName("east", "pump-3")]]
    for read in reads_of(store):
        assert {node for block in read(0, 1 << 50, some) for node in block.node.tolist()} == set(some)
        assert list(read(0, 1 << 50, [])) == []


def test_long_reads_come_in_blocks_without_gap_or_repetition(store: RowStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "READ_ROWS", 7)
    monkeypatch.setattr(timescale_store, "READ_ROWS", 7)
    store.add_nodes(names(5))
    rows: list[Row] = [(node, T0 + i, (node, i, 0)) for node in range(1, 6) for i in range(7)]  # 35: five whole blocks
    store.write(finished(rows, scores=scores_of(*((n, t, 0.5, (n, 0, 0), (0, 0, 0)) for n, t, _ in rows))))
    for read in reads_of(store):
        sizes = [len(block) for block in read(0, 1 << 50)]
        assert sizes == [7] * 5
    assert len(stored_rows(store)) == len(stored_scores(store)) == 35


def test_rows_of_long_ago_are_deleted_and_labels_are_kept(store: RowStore) -> None:
    store.add_nodes(names(1))
    old, new = T0 - 30 * DAY_MS, T0
    store.write(
        finished(
            [(1, old, (1, 1, 1)), (1, new, (2, 2, 2))],
            scores=scores_of((1, old, 0.5, (1, 1, 1), (0,) * 3), (1, new, 0.5, (1, 1, 1), (0,) * 3)),
        )
    )
    store.add_label(label(PUMP_1, old, old + 1))
    while store.delete_before(T0 - 10 * DAY_MS):
        pass
    assert stored_rows(store) == {(PUMP_1, new): (2, 2, 2)}
    assert set(stored_scores(store)) == {(PUMP_1, new)}
    assert len(store.labels(0, 1 << 50)) == 1


VALUES = st.one_of(st.just(NAN), st.integers(-3, 3).map(float))
PIECES = st.tuples(st.booleans(), st.integers(0, 1), st.tuples(VALUES, VALUES, VALUES))


def merged(pieces: list[tuple[bool, int, tuple[float, ...]]]) -> dict[int, tuple[float | None, ...]]:
    """The rule in its plainest form: (is a fill, time, values) one after the other."""
    rows: dict[int, list[float | None]] = {}
    for fill, time, values in pieces:
        row = rows.setdefault(time, [None] * FEATURES)
        for i, value in enumerate(values):
            if not np.isnan(value) and (not fill or row[i] is None):
                row[i] = value
    return {time: tuple(row) for time, row in rows.items()}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.lists(PIECES, min_size=1, max_size=8),
    sizes=st.lists(st.integers(1, 8), min_size=8, max_size=8),
)
def test_any_sequence_of_rows_and_fills_gives_what_the_rule_says(
    store: RowStore, pieces: list[tuple[bool, int, tuple[float, ...]]], sizes: list[int]
) -> None:
    node = len(store.nodes()) + 1  # each example has a node of its own
    name = NodeName("east", f"pump-{node}")
    store.add_nodes({node: name})
    waiting = list(pieces)
    for size in sizes:  # flushes: each takes its rows first, so it ends where a row follows a fill
        flush = waiting[:size]
        first_fill = next((i for i, piece in enumerate(flush) if piece[0]), len(flush))
        end = next((i for i in range(first_fill, len(flush)) if not flush[i][0]), len(flush))
        flush, waiting = waiting[:end], waiting[end:]
        store.write(
            finished(
                rows=[(node, T0 + time, values) for fill, time, values in flush if not fill],
                fills=[(node, T0 + time, values) for fill, time, values in flush if fill],
            )
        )
    found = {time_ms - T0: raw for (found, time_ms), raw in stored_rows(store).items() if found == name}
    assert found == merged(pieces)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.lists(st.tuples(st.booleans(), st.sets(st.integers(0, 2))), min_size=1, max_size=8), order=st.randoms()
)
def test_pieces_of_one_true_row_give_it_in_any_order_and_however_often(
    store: RowStore, pieces: list[tuple[bool, set[int]]], order: object
) -> None:
    node = len(store.nodes()) + 1
    name = NodeName("east", f"pump-{node}")
    store.add_nodes({node: name})
    again = pieces + pieces
    order.shuffle(again)  # type: ignore[attr-defined]
    for fill, features in again:
        piece: Row = (node, T0, [float(i) if i in features else NAN for i in range(FEATURES)])
        store.write(finished(fills=[piece]) if fill else finished(rows=[piece]))
    known = set().union(*(features for _, features in pieces))
    stored = {found: raw for (found, _), raw in stored_rows(store).items()}
    assert stored[name] == tuple(float(i) if i in known else None for i in range(FEATURES))


def test_all_of_a_flush_is_stored_or_nothing(store: RowStore) -> None:
    store.add_nodes(names(1))
    whole = finished([(1, T0, (1, 1, 1))], scores=scores_of((1, T0, 0.5, (1, 1, 1), (0,) * 3)))
    unnamed = replace(whole, scores=scores_of((9, T0, 0.5, (1, 1, 1), (0,) * 3)))
    with pytest.raises(ValueError, match="not named"):
        store.write(unnamed)
    assert stored_rows(store) == {}
    store.write(whole)
    assert len(stored_rows(store)) == 1
