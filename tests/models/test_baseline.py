"""What a detector with baselines does over time, on made-up nodes that training never saw."""

from __future__ import annotations

import numpy as np
import pytest

from models.detectors import mean_z2
from models.detectors.deviations import HALF_LIVES_SECONDS
from models.own_threshold import Alarm
from models.run import probe, run
from models.table import Table
from receiver.columns import Float32
from tests.models.nodes import FEATURES, table
from tests.models.trained import detector

# The default without labels.
NAME = "mean_z2"


def scores(rows: Table) -> Float32:
    """[times, nodes]."""
    return run(detector(NAME), rows).score.reshape(-1, len(rows.nodes))


def seconds_to_second_alarm(step: float, known_for: float) -> Float32:
    """From the start of an attack to each node's second row over 1.0, which is when the alert is raised."""
    rows = table(nodes=6, seconds=known_for + 150, step=step, seed=21, attack=(known_for, known_for + 150))
    over = scores(rows) > 1
    times = np.arange(len(over)) * step - known_for
    assert not over[times < 0].any()
    return np.array([times[column & (times >= 0)][1] for column in over.T], np.float32)


@pytest.mark.parametrize("known_for", [600, 3000])
@pytest.mark.parametrize("step", [1, 2])
def test_quick_scrapes_find_cpu_stress_within_15_s(step: float, known_for: float) -> None:
    assert seconds_to_second_alarm(step, known_for).max() <= 15


@pytest.mark.parametrize("step", [1, 2])
def test_quick_scrapes_find_cpu_stress_within_30_s_on_a_node_that_is_a_minute_old(step: float) -> None:
    assert seconds_to_second_alarm(step, 75).max() <= 30


@pytest.mark.parametrize("known_for", [90, 3000])
@pytest.mark.parametrize("step", [10, 15])
def test_usual_scrapes_find_cpu_stress_within_a_minute(step: float, known_for: float) -> None:
    assert seconds_to_second_alarm(step, known_for).max() <= 60


@pytest.mark.parametrize("step", [1, 5, 15, 60])
def test_normal_nodes_stay_calm_at_any_interval(step: float) -> None:
    over = scores(table(nodes=5, seconds=3600, step=step, seed=22)) > 1
    assert over.mean() < 0.02


@pytest.mark.parametrize("busy", [0.01, 0.25])
def test_idle_and_busy_machines_are_both_normal(busy: float) -> None:
    over = scores(table(nodes=5, seconds=3600, step=5, seed=23, busy=busy)) > 1
    assert over.mean() < 0.03


def test_an_attack_that_lasts_is_not_learnt() -> None:
    known_for, lasts = 5400, 4 * 3600
    rows = table(nodes=3, seconds=known_for + lasts, step=15, seed=24, attack=(known_for, known_for + lasts))
    over = scores(rows) > 1
    times = np.arange(len(over)) * 15 - known_for
    assert over[times > 60].all()


def test_after_an_attack_the_score_falls_again() -> None:
    rows = table(nodes=4, seconds=2700, step=5, seed=25, attack=(1200, 1380))
    over = scores(rows) > 1
    assert not over[np.arange(len(over)) * 5 > 1380 + 420].any()


def test_a_baseline_stands_still_under_alarm() -> None:
    model, features = detector(NAME), len(FEATURES)
    rows = table(nodes=1, seconds=7200, step=5, seed=26, attack=(6900, 7200))
    state = model.initial_state[None]
    before = None
    for x, attacked in zip(rows.x, rows.attack if rows.attack is not None else [], strict=True):
        result = model.step(x[None], np.full(1, 5, np.float32), state)
        if attacked and result.score[0] > 1:
            first = len(HALF_LIVES_SECONDS)
            learnt = slice(first * features, (first + 3) * features)  # level, variance, seconds learnt
            if before is not None:
                assert np.array_equal(result.next_state[0, learnt], before)
            before = result.next_state[0, learnt]
        state = result.next_state
    assert before is not None


def test_a_node_that_has_moved_for_good_is_learnt_within_hours_below_the_alarm() -> None:
    never = probe(mean_z2.fit(table(nodes=6, step=10, seed=25)).at(Alarm(1e3)))
    rows = table(nodes=3, seconds=8 * 3600, step=30, seed=26)
    moved = rows.time_ms - rows.time_ms[0] >= 3_600_000
    rows.x[moved] *= np.float32(1.3)
    times = run(never, rows).score.reshape(-1, 3).mean(axis=1)
    before, at_once, in_the_end = times[60:120].mean(), times[125:150].mean(), times[-60:].mean()
    assert at_once > 10 * before
    assert in_the_end < at_once / 2


def test_a_machine_that_boots_and_falls_quiet_is_not_alarming() -> None:
    rows = table(nodes=3, seconds=1500, step=5, seed=27, attack=(0, 300))
    score = scores(rows)
    assert not (score[np.arange(len(score)) * 5 > 300] > 1).any()


def test_the_cpu_features_explain_cpu_stress() -> None:
    rows = table(nodes=4, seconds=1260, step=2, seed=28, attack=(1200, 1260))
    contribution = run(detector(NAME), rows).contribution.reshape(-1, 4, len(FEATURES))[-15]
    for node in contribution:
        assert {FEATURES[feature] for feature in np.argsort(-node)[:2]} <= {"cpu_sec_idle", "load1", "intr"}
