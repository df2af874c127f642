"""The short form of the benchmark of hot swaps: no score is lost, doubled or mixed, and no answer waits for a swap."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from benchmarks.fleet.requests import name_of
from benchmarks.fleet.sender import Plan, Sent
from benchmarks.swaps import run as swaps
from benchmarks.swaps.__main__ import faults, table
from benchmarks.swaps.run import Load, stored
from tests.benchmarks.test_fleet import exposition


@pytest.mark.alone
def test_models_that_take_turns_under_load_lose_double_and_mix_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swaps, "QUIET_SECONDS", 3.0)
    monkeypatch.setattr(swaps, "SETTLE_SECONDS", 3.0)
    load = Load(nodes=20, interval_seconds=0.5, shards=2, swaps=20, deadline_seconds=2.0)
    outcome = swaps.run(exposition(), load, tmp_path)
    assert outcome.stored.rows > 100
    assert set(outcome.stored.by_version) == {"counting-low", "counting-high"}
    assert faults(outcome) == [], table(outcome)


ROWS = [("low", 0, 0.01), ("low", 1, 0.02), ("high", 2, 1000.03), ("high", 3, 1000.04)]


def account(folder: Path, rows: list[tuple[str, int, float]]) -> tuple[int, int, int]:
    """Lost, miscounted, mixed, of these scores of one node of which four rows were acknowledged."""
    path = folder / "store.sqlite"
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("CREATE TABLE nodes (id, name)")
        file.execute("CREATE TABLE models (id, version)")
        file.execute("CREATE TABLE node_scores (time_ms, node, model, score)")
        file.execute("INSERT INTO nodes VALUES (0, ?)", (name_of(0),))
        file.execute("INSERT INTO models VALUES ('low', 'counting-low'), ('high', 'counting-high')")
        file.executemany(
            "INSERT INTO node_scores VALUES (?, 0, ?, ?)", [(1000 * at, model, score) for model, at, score in rows]
        )
    sent = Sent.of(5, 1)
    sent.acknowledged_seconds[:4] = np.arange(4) + 1.0
    found = stored(path, Plan(1, 5, 1.0, 0.0), sent)
    return found.lost, found.miscounted, found.mixed


def test_sound_scores_have_no_fault(tmp_path: Path) -> None:
    assert account(tmp_path, ROWS) == (0, 0, 0)


def test_a_row_without_a_score_is_lost(tmp_path: Path) -> None:
    assert account(tmp_path, ROWS[:3]) == (1, 0, 0)


@pytest.mark.parametrize("score", [1000.02, 1000.04], ids=["a row unknown", "a row stepped twice"])
def test_a_score_that_does_not_know_each_row_once_is_found(tmp_path: Path, score: float) -> None:
    assert account(tmp_path, [*ROWS[:2], ("high", 2, score), ROWS[3]]) == (0, 1, 0)


def test_a_score_of_another_model_than_it_is_stored_with_is_found(tmp_path: Path) -> None:
    assert account(tmp_path, [*ROWS[:2], ("low", 2, 1000.03), ROWS[3]]) == (0, 0, 1)
