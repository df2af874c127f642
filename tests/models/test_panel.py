"""How far learners that know single features are trusted, and that nobody judges what it has seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.tree import DecisionTreeClassifier

from models.detectors import deviations, panel
from models.detectors.deviations import HALF_LIVES_SECONDS, Prior
from models.detectors.panel import Lessons
from tests.models.nodes import table

LENGTHS, FEATURES, ROWS = len(HALF_LIVES_SECONDS), 24, 240


@pytest.fixture(scope="module")
def prior() -> Prior:
    return deviations.fit(table(nodes=2, seconds=1000, step=10))


def nodes(moved: list[int], size: float) -> Lessons:
    """A node for each feature that is given, in which an attack moves it, in half of the rows; noise elsewhere."""
    random = np.random.default_rng(4)
    z = random.normal(size=(ROWS * len(moved), LENGTHS, FEATURES)).astype(np.float32)
    attack = np.arange(len(z)) % ROWS >= ROWS // 2
    node = np.repeat(np.arange(len(moved), dtype=np.int32), ROWS)
    for number, feature in enumerate(moved):
        z[attack & (node == number), :, feature] += size
    return Lessons(z, attack, node, node)


def learner() -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(max_iter=20, max_leaf_nodes=4, random_state=0)


def test_single_features_are_trusted_where_an_attack_moves_one_everywhere_as_nobody_would_think(prior: Prior) -> None:
    assert prior.direction[5] == 1
    assert panel.judge(nodes([5, 5, 5], -2), prior, [learner()]).trust > 0.7


def test_single_features_are_not_trusted_where_an_attack_moves_another_on_every_node(prior: Prior) -> None:
    assert panel.judge(nodes([5, 6, 10], 9), prior, [learner()]).trust < 0.3


def test_where_nothing_can_be_left_out_nothing_is_judged_or_trusted(prior: Prior) -> None:
    judged = panel.judge(nodes([5], -2), prior, [learner()])
    assert judged.trust == 0
    assert not judged.judged.any()


def test_rows_are_judged_by_panels_that_saw_nothing_of_their_group(prior: Prior) -> None:
    # A tree that keeps every row by heart would be right about all, had it seen them.
    random = np.random.default_rng(5)
    z = random.normal(size=(900, LENGTHS, FEATURES)).astype(np.float32)
    group = np.repeat(np.arange(3, dtype=np.int32), 300)
    # Each row is there twice, in the same group, as in streams that were made from one node.
    z[1::2] = z[::2]
    attack = np.repeat(random.random(450) < 0.5, 2)
    judged = panel.judge(Lessons(z, attack, group, group), prior, [DecisionTreeClassifier(random_state=0)])
    assert judged.judged.all()
    assert ((judged.probability > 0.5) == attack).mean() < 0.6


def test_rows_that_weigh_nothing_teach_nothing(prior: Prior) -> None:
    right = nodes([5, 5, 5], -2)
    wrong = np.random.default_rng(6).random(len(right.z)) < 0.7
    lied = replace(right, attack=right.attack ^ wrong)
    _, weighed = panel.fit(replace(lied, weight=(~wrong).astype(np.float32)), prior, [learner()]).votes(right.z, prior)
    _, misled = panel.fit(lied, prior, [learner()]).votes(right.z, prior)
    assert ((weighed > 0.5) == right.attack).mean() > 0.9
    assert ((misled > 0.5) == right.attack).mean() < 0.2


def test_attacks_that_weigh_nothing_are_none_to_learn_from(prior: Prior) -> None:
    lessons = nodes([5, 5, 5], -2)
    weight = np.where(lessons.attack & (lessons.group > 0), 0, 1).astype(np.float32)
    judged = panel.judge(replace(lessons, weight=weight), prior, [learner()])
    assert np.unique(lessons.group[judged.judged]).tolist() == [1, 2]


@pytest.mark.parametrize("weighed", [False, True])
def test_an_attack_that_is_rare_is_learnt_from_all_the_same(prior: Prior, weighed: bool) -> None:
    lessons = nodes([5] * 4, 9)
    rare = np.flatnonzero(lessons.attack)[0]
    attack = np.arange(len(lessons.z)) == rare
    weight = np.where(attack, 1e-6, 1).astype(np.float32) if weighed else None
    kept = attack | ~lessons.attack
    rows = replace(lessons, attack=attack, weight=weight).take(kept)
    general, special = panel.fit(rows, prior, [learner()], rows=100).votes(lessons.z[[rare]], prior)
    assert special > 0.5
    assert general.shape == (1,)
