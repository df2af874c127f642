"""Anomalies that are made up are where their labels say, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.detection.cases import node_table
from benchmarks.detection.inject import KINDS, ROWS, SPACING_ROWS, injected
from models.table import Table

FEATURES = ("still", "a", "b", "c", "d", "e", "f")


def quiet(seed: int, rows: int = 4 * SPACING_ROWS) -> Table:
    """Noise of standard deviation 1, but for one feature that never moves."""
    x = np.random.default_rng(seed).normal(size=(rows, len(FEATURES))).astype(np.float32)
    x[:, 0] = 5
    return node_table("n", FEATURES, np.arange(rows) * 60_000, x, np.zeros(rows, bool))


def test_rows_differ_where_the_label_says_and_nowhere_else() -> None:
    rows = quiet(2)
    changed, episodes = injected(quiet(1), rows, seed=0)
    assert changed.attack is not None
    differs = (changed.x != rows.x).any(axis=1)
    assert not differs[~changed.attack].any()
    assert [episode.kind for episode in episodes] == list(KINDS)
    for episode in episodes:
        inside = (rows.time_ms >= episode.start_ms) & (rows.time_ms <= episode.end_ms)
        assert changed.attack[inside].all()
        assert ROWS[0] <= inside.sum() <= ROWS[1]
        assert differs[inside].any()


def test_a_feature_that_never_moves_is_left_alone() -> None:
    changed, _ = injected(quiet(1), quiet(2), seed=0)
    assert (changed.x[:, 0] == 5).all()


def test_a_level_is_several_standard_deviations_away() -> None:
    rows = quiet(2)
    changed, episodes = injected(quiet(1), rows, seed=0)
    (level,) = [episode for episode in episodes if episode.kind == "level"]
    inside = (rows.time_ms >= level.start_ms) & (rows.time_ms <= level.end_ms)
    shift = np.abs((changed.x - rows.x)[inside]).mean(axis=0)
    moved = shift[shift > 0]
    assert ((moved > 2.9) & (moved < 8.2)).all()
    assert len(moved) <= 2  # a third of six


def test_elsewhere_is_what_the_features_were_before() -> None:
    before, rows = quiet(1), quiet(2)
    changed, episodes = injected(before, rows, seed=0)
    (elsewhere,) = [episode for episode in episodes if episode.kind == "elsewhere"]
    inside = (rows.time_ms >= elsewhere.start_ms) & (rows.time_ms <= elsewhere.end_ms)
    new = (changed.x - rows.x)[inside].any(axis=0)
    assert set(changed.x[inside][:, new].ravel()) <= set(before.x.ravel())


@pytest.mark.parametrize(("seed", "same"), [(0, True), (1, False)])
def test_it_follows_from_the_seed(seed: int, same: bool) -> None:
    first, _ = injected(quiet(1), quiet(2), seed=0)
    other, _ = injected(quiet(1), quiet(2), seed=seed)
    assert np.array_equal(first.x, other.x) == same


def test_where_nothing_ever_moves_nothing_is_made_up() -> None:
    still = node_table("n", ["a"], np.arange(1000) * 1000, np.zeros((1000, 1), np.float32), np.zeros(1000, bool))
    changed, episodes = injected(still, still, seed=0)
    assert episodes == ()
    assert changed.attack is not None
    assert not changed.attack.any()
