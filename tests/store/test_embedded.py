"""What only the embedded store does with rows, nodes and how far things have come."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver.columns import NodeName
from receiver.store.embedded import EmbeddedStore
from receiver.store.mutes import Mute
from tests.store.data import (
    CATALOGUE,
    NAN,
    T0,
    finished,
    label,
    names,
    record,
    rows_of,
    scores_of,
    states_of,
    stored_rows,
    stored_scores,
)

PUMP = NodeName("east", "pump-1")


def test_everything_is_there_after_a_restart(path: Path) -> None:
    store = EmbeddedStore.open(path, CATALOGUE)
    store.append([record(T0, (1, T0, 1.0))], [], names(2))
    store.write(finished([(1, T0, (1, NAN, 3))], scores=scores_of((1, T0, 0.5, (1, 2, 3), (0,) * 3)), consumed_seq=1))
    rows, scores = stored_rows(store), stored_scores(store)
    store.close()
    store = EmbeddedStore.open(path, CATALOGUE)
    assert (stored_rows(store), stored_scores(store), store.consumed_seq) == (rows, scores, 1)
    store.close()


def test_many_rows_in_one_flush_are_stored_as_each_in_its_own(tmp_path: Path) -> None:
    rows = [(1 + place % 2, T0 + place, (place, NAN if place % 3 else 1.0, -place)) for place in range(27)]
    scores = [(node, time_ms, time_ms - T0, raw, (NAN,) * 3 if node == 1 else raw) for node, time_ms, raw in rows]
    together, single = (EmbeddedStore.open(tmp_path / f"{name}.db", CATALOGUE) for name in ("together", "single"))
    for store in (together, single):
        store.add_nodes(names(2))
        store.write(finished([(1, T0 + 4, (7, 7, 7))]))  # one is there already
    together.write(finished(rows, fills=rows[:9], scores=scores_of(*scores)))
    for row, score in zip(rows, scores, strict=True):
        single.write(finished([row], scores=scores_of(score)))
    assert stored_rows(together) == stored_rows(single)
    assert stored_scores(together) == stored_scores(single)
    assert len(stored_scores(together)) == 27
    for store in (together, single):
        store.close()


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(late_ms=st.lists(st.integers(0, 5), max_size=12), since=st.integers(-1, 13), most=st.integers(1, 13))
def test_what_was_scored_since_then_is_found_though_rows_came_late(
    tmp_path_factory: pytest.TempPathFactory, late_ms: list[int], since: int, most: int
) -> None:
    with closing(EmbeddedStore.open(tmp_path_factory.mktemp("store") / "store.db", CATALOGUE)) as store:
        store.add_nodes(names(1))
        seen: list[int] = []
        for place, late in enumerate(late_ms):
            time_ms = next(ms for ms in range(place - late, place + 99) if ms not in seen)
            store.write(finished(scores=scores_of((1, T0 + time_ms, 0.5, (1, 2, 3), (0,) * 3))))
            seen.append(time_ms)
        _, after = store.scored_after(store.before_scores_of(T0 + since, most), 100)
        found = (after.time_ms - T0).tolist()
    assert len(found) <= most
    assert set(found) >= {ms for ms in seen[-most:] if ms >= since}
    assert found == seen[len(seen) - len(found) :]
    if seen == sorted(seen):
        assert found == [ms for ms in seen[-most:] if ms >= since]


def test_what_is_consumed_never_goes_back(embedded: EmbeddedStore) -> None:
    embedded.write(finished(consumed_seq=5))
    embedded.write(finished(consumed_seq=3))
    assert embedded.consumed_seq == 5


def test_the_newest_row_of_each_node_is_known_also_when_it_is_gone(embedded: EmbeddedStore) -> None:
    embedded.add_nodes(names(3))
    embedded.write(finished([(1, T0 + 9, (1, 1, 1)), (1, T0, (1, 1, 1)), (2, T0, (1, 1, 1))]))
    embedded.write(finished([(2, T0 - 9, (1, 1, 1))]))
    embedded.delete_before(1 << 50)
    assert embedded.last_row_ms() == {1: T0 + 9, 2: T0}


def test_naming_a_node_id_otherwise_is_a_mistake(embedded: EmbeddedStore) -> None:
    embedded.add_nodes({1: PUMP})
    with pytest.raises(ValueError, match="cannot be"):
        embedded.add_nodes({1: NodeName("west", "pump-1")})


def test_names_of_which_nothing_is_left_are_deleted_and_no_others(embedded: EmbeddedStore) -> None:
    embedded.add_nodes({i: NodeName("east", f"pump-{i}") for i in range(1, 10)})
    for i in range(1, 8):
        rows = finished([(i, T0, (1, 2, 3))], scores=scores_of((i, T0, 0.5, (1, 2, 3), (NAN,) * 3)))
        embedded.write(rows)
    embedded.write(finished([(7, T0 + 5, (1, 2, 3))]))
    everybody = set(range(1, 10))
    embedded.save_states(states_of("v1", 2))
    embedded.add_label(label(NodeName("east", "pump-3"), T0, T0 + 1))
    embedded.add_mute(Mute(NodeName("east", "pump-4"), T0 + 1, "", "ann", T0))
    assert embedded.forget_nodes(everybody) == []  # their rows are there
    embedded.delete_before(T0 + 5)
    assert embedded.forget_nodes(everybody - {5}) == [1, 6]  # 8 never had a row, 9 is the last
    assert embedded.nodes().keys() == {2, 3, 4, 5, 7, 8, 9}
    embedded.delete_before(T0 + 6)
    assert embedded.forget_nodes(everybody) == [5, 7]
    embedded.add_nodes({10: NodeName("east", "pump-7")})
    embedded.write(finished([(10, T0 + 9, (1, 2, 3))]))
    assert embedded.last_row_ms() == {2: T0, 3: T0, 4: T0, 10: T0 + 9}


def test_deletion_goes_in_steps(embedded: EmbeddedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.store.embedded.store.DELETE_ROWS", 3)
    embedded.add_nodes(names(1))
    embedded.write(finished([(1, T0 + i, (i, i, i)) for i in range(8)]))
    steps = [embedded.delete_before(T0 + 7) for _ in range(4)]
    assert steps == [3, 3, 1, 0]
    assert list(stored_rows(embedded)) == [(PUMP, T0 + 7)]


def test_the_size_counts_what_is_used_and_falls_when_rows_are_deleted(embedded: EmbeddedStore) -> None:
    embedded.add_nodes(names(1))
    empty = embedded.size_bytes()
    embedded.write(finished([(1, T0 + i, (i, i, i)) for i in range(5000)]))
    full = embedded.size_bytes()
    assert full > empty + 5000 * 3 * 8
    while embedded.delete_before(1 << 50):
        pass
    embedded._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert embedded.size_bytes() < full / 2


def test_a_row_without_any_value_is_a_row(embedded: EmbeddedStore) -> None:
    embedded.add_nodes(names(1))
    embedded.write(finished([(1, T0, (NAN, NAN, NAN))]))
    assert stored_rows(embedded) == {(PUMP, T0): (None, None, None)}
    assert len(rows_of((1, T0, (NAN,) * 3))) == 1
