"""What only TimescaleDB does with rows: chunks, columns, the data set's view, policies, and several catalogues."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import psycopg
import pytest

from receiver.catalogue import load
from receiver.columns import NodeName
from receiver.errors import StoreUnavailable
from receiver.store.mutes import Mute
from receiver.store.protocol import States
from receiver.store.timescale import TimescaleStore
from receiver.store.timescale.migration import _ensure_policies, licence
from receiver.store.timescale.schema import tables_of
from tests.store.data import (
    CATALOGUE,
    DAY_MS,
    NAN,
    SCHEMA,
    T0,
    Database,
    catalogue_of,
    finished,
    label,
    names,
    scores_of,
    stored_rows,
    stored_scores,
)

PUMP = NodeName("east", "pump-1")


def query(database: Database, text: str) -> list[tuple[object, ...]]:
    """All rows."""
    return database.execute(text).fetchall()


def test_a_time_is_the_same_instant_in_the_database(timescale_store: TimescaleStore, database: Database) -> None:
    timescale_store.add_nodes(names(1))
    timescale_store.write(finished([(1, 1_795_161_600_123, (1, 2, 3))]))
    assert query(database, "SELECT time AT TIME ZONE 'UTC' || '' FROM pump_samples") == [("2026-11-20 08:00:00.123",)]


def test_missing_values_are_null_not_nan(timescale_store: TimescaleStore, database: Database) -> None:
    timescale_store.add_nodes(names(1))
    timescale_store.write(finished([(1, T0, (1, NAN, 3))], scores=scores_of((1, T0, NAN, (1, 2, 3), (NAN,) * 3))))
    assert query(database, 'SELECT flow, heat, "order" FROM pump_samples') == [(1, None, 3)]
    assert query(database, "SELECT score, x, contribution FROM pump_scores") == [(None, [1, 2, 3], None)]


def test_rows_are_in_hypertables_of_a_day(timescale_store: TimescaleStore, database: Database) -> None:
    timescale_store.add_nodes(names(1))
    timescale_store.write(finished([(1, T0 + day * DAY_MS, (1, 2, 3)) for day in range(4)]))
    tables = "SELECT hypertable_name, num_chunks FROM timescaledb_information.hypertables ORDER BY 1"
    assert query(database, tables) == [("pump_samples", 4), ("pump_scores", 0)]
    assert timescale_store.delete_before(T0 + DAY_MS + DAY_MS // 2) == 1
    assert [time_ms for _, time_ms in stored_rows(timescale_store)] == [T0 + day * DAY_MS for day in (1, 2, 3)]


def test_the_data_set_has_the_features_and_the_attack_of_the_newest_label(
    timescale_store: TimescaleStore, database: Database
) -> None:
    timescale_store.add_nodes(names(3))
    timescale_store.write(finished([(n, T0 + i, (n, i, NAN)) for n in (1, 3) for i in range(4)]))
    timescale_store.add_label(label(PUMP, T0 + 1, T0 + 2))
    timescale_store.add_label(label(PUMP, T0 + 2, T0 + 3, attack=False, created_ms=T0 + 9))  # a false positive, later
    timescale_store.add_label(label(NodeName("east", "pump-3"), T0, T0 + 9))  # a node of that name elsewhere
    columns = [column.name for column in database.execute("SELECT * FROM pump_dataset LIMIT 0").description or ()]
    assert columns == ["time", "cluster", "node", "flow", "heat", "order", "attack"]
    found = query(database, "SELECT cluster, node, heat, attack FROM pump_dataset ORDER BY cluster, time")
    assert found == [
        ("east", "pump-1", 0, 0),
        ("east", "pump-1", 1, 1),
        ("east", "pump-1", 2, 0),
        ("east", "pump-1", 3, 0),
        *(("west", "pump-2", i, 0) for i in range(4)),
    ]


def test_the_24_features_are_the_papers_table_2(timescale_dsn: str) -> None:
    TimescaleStore.connect(timescale_dsn, load()).close()
    with psycopg.connect(timescale_dsn) as database:
        columns = [column.name for column in database.execute("SELECT * FROM node_dataset LIMIT 0").description or ()]
    assert columns == ["time", "cluster", "node", *load().feature_names, "attack"]
    assert len(columns) == 3 + 24 + 1


def test_a_catalogue_that_gained_features_gets_their_columns(
    timescale_store: TimescaleStore, timescale_dsn: str, database: Database
) -> None:
    timescale_store.add_nodes(names(1))
    timescale_store.write(finished([(1, T0, (1, 2, 3))], scores=scores_of((1, T0, 0.5, (0.25, 0.5, 0.75), (0, 0, 1)))))
    wider = TimescaleStore.connect(timescale_dsn, catalogue_of("new", "order", "flow"))
    assert stored_rows(wider) == {(PUMP, T0): (None, 3, 1)}
    assert stored_scores(wider) == {(PUMP, T0): (0.5, (None, 0.75, 0.25), (None, 1, 0))}
    wider.close()
    assert query(database, 'SELECT new, "order", flow, attack FROM pump_dataset') == [(None, 3, 1, 0)]
    assert stored_rows(timescale_store) == {(PUMP, T0): (1, 2, 3)}


def test_a_name_that_postgres_cannot_hold_does_not_stop_the_rows(timescale_store: TimescaleStore) -> None:
    timescale_store.add_nodes({1: NodeName("east", "a\x00b"), 2: NodeName("\ud800", "c")})
    timescale_store.write(finished([(1, T0, (1, 1, 1)), (2, T0, (2, 2, 2))]))
    assert set(stored_rows(timescale_store).values()) == {(1, 1, 1), (2, 2, 2)}


def test_naming_known_nodes_again_uses_up_no_ids(timescale_store: TimescaleStore) -> None:
    for _ in range(5):
        timescale_store.add_nodes(names(3))
    timescale_store.add_nodes({9: NodeName("east", "new")})
    assert sorted(timescale_store.nodes()) == [1, 2, 3, 4]


def test_policies_are_set_where_the_licence_has_them_and_their_refusal_stops_nothing(
    timescale_dsn: str, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    TimescaleStore.connect(timescale_dsn, CATALOGUE, retention_days=20).close()
    store = TimescaleStore.connect(timescale_dsn, CATALOGUE, retention_days=30)
    if licence(database) == "apache":
        assert caplog.text == ""  # not even tried
        _ensure_policies(database, tables_of(CATALOGUE), 30)
        assert re.search(r"no compression or retention policy: .*apache", caplog.text)
    else:
        found = database.execute(
            "SELECT hypertable_name, proc_name, config ->> 'drop_after' FROM timescaledb_information.jobs "
            "WHERE hypertable_name LIKE 'pump%' ORDER BY 1, 2"
        ).fetchall()
        assert found == [
            (f"pump_{table}", policy, drop_after)
            for table in ("samples", "scores")
            for policy, drop_after in (("policy_compression", None), ("policy_retention", "720:00:00"))
        ]
    store.add_nodes(names(1))
    store.write(finished([(1, T0, (1, 2, 3))]))
    assert len(stored_rows(store)) == 1
    store.close()


def test_who_only_reads_touches_no_policy(
    timescale_dsn: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receiver.store.timescale.migration.licence", lambda _: "timescale")
    TimescaleStore.connect(timescale_dsn, CATALOGUE).close()
    assert caplog.text == ""  # a licence that does not have them would have refused, and been logged


def test_services_of_several_catalogues_share_a_database_and_nothing_in_it(
    timescale_store: TimescaleStore, timescale_dsn: str, database: Database
) -> None:
    """The same names in both; what is too old for one is not for the other."""
    of_nodes = TimescaleStore.connect(timescale_dsn, replace(CATALOGUE, name="node"))
    for store, value in ((timescale_store, 1), (of_nodes, 2)):
        store.add_nodes(names(value))
        rows = [(1, T0 + day * DAY_MS, (value, value, value)) for day in range(2)]
        store.write(finished(rows, scores=scores_of((1, T0 + DAY_MS, value, (value,) * 3, (NAN,) * 3))))
        store.add_label(label(PUMP, T0, T0 + DAY_MS, attack=value == 1))
        store.add_mute(Mute(PUMP, T0 + value, "", "ann", T0))
        store.save_states(States("v1", np.array([1], np.int32), np.array([T0]), np.array([[value]], np.float32)))
    assert timescale_store.delete_before(T0 + DAY_MS) == 1
    for store, value, days in ((timescale_store, 1, [1]), (of_nodes, 2, [0, 1])):
        assert len(store.nodes()) == value
        assert stored_rows(store) == {(PUMP, T0 + day * DAY_MS): (value, value, value) for day in days}
        assert [score for score, _, _ in stored_scores(store).values()] == [value]
        assert [one.attack for one in store.labels(0, 1 << 50)] == [value == 1]
        assert [one.until_ms for one in store.mutes(0)] == [T0 + value]
        assert store.load_states("v1", [1]).state.tolist() == [[value]]
    timescale_store.forget_states(T0)
    assert len(timescale_store.load_states("v1", [1]).node) == 1
    timescale_store.forget_states(T0 + 1)
    assert [len(store.load_states("v1", [1]).node) for store in (timescale_store, of_nodes)] == [0, 1]
    of_nodes.close()
    assert query(database, "SELECT attack FROM pump_dataset") == [(1,)]
    assert query(database, "SELECT attack FROM public.node_dataset") == [(0,), (0,)]
    tables = "SELECT hypertable_schema, hypertable_name FROM timescaledb_information.hypertables ORDER BY 2"
    assert query(database, tables) == [
        (schema, f"{name}_{table}")
        for schema, name in (("public", "node"), (SCHEMA, "pump"))
        for table in ("samples", "scores")
    ]


def test_a_table_that_somebody_dropped_is_made_again_after_reconnecting(
    timescale_store: TimescaleStore, timescale_dsn: str, database: Database
) -> None:
    timescale_store.add_nodes(names(1))
    database.execute("DROP TABLE pump_samples CASCADE")
    with pytest.raises(StoreUnavailable, match="pump_samples"):
        timescale_store.write(finished([(1, T0, (1, 2, 3))]))
    again = TimescaleStore.connect(timescale_dsn, CATALOGUE)
    again.add_nodes(names(1))
    again.write(finished([(1, T0, (1, 2, 3))]))
    assert len(stored_rows(again)) == 1
    again.close()


def test_the_labels_of_both_ends_of_the_outbox_are_the_same_label(timescale_store: TimescaleStore) -> None:
    given = replace(label(PUMP, T0, T0 + 1), score=2.5, model_version="v9")
    assert timescale_store.add_label(given) == timescale_store.add_label(replace(given, id=77))
    (found,) = timescale_store.labels(0, 1 << 50)
    assert (found.score, found.model_version) == (2.5, "v9")
