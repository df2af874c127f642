"""What the detectors that learn from labels are given, and that training and serving give them the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
)

from models.detectors import deviations, evidence, gradient_boosting, replay, supervised, trees
from models.detectors.deviations import HALF_LIVES_SECONDS
from models.graph import Graph
from models.own_threshold import Alarm
from models.run import probe, run
from receiver.columns import Float32
from receiver.detector import Detector
from tests.models.nodes import FEATURES, table
from tests.models.trained import attacked

LENGTHS = len(HALF_LIVES_SECONDS)


def test_the_graph_computes_the_evidence_that_learners_were_fitted_to() -> None:
    rows = attacked()
    prior = deviations.fit(rows.normal())
    random = np.random.default_rng(0)
    z = (4 * random.normal(size=(300, LENGTHS, len(FEATURES)))).clip(-10, 10).astype(np.float32)
    pulled = evidence.Pull(random.random((LENGTHS, len(FEATURES))), -1.5)
    graph = Graph()
    cube = graph.op("Reshape", "x", graph.const([-1, LENGTHS, len(FEATURES)], np.int64))
    seen = evidence.write(graph, graph.op("Where", graph.op("IsNaN", cube), graph.const(0), cube), prior, pulled)
    expected = evidence.evidence(z, prior, pulled)
    clipped = graph.op("Clip", seen, graph.const(-1e4), graph.const(1e4))
    model = graph.close(
        score=graph.op("Mul", "elapsed_seconds", graph.const(0)),
        next_state=clipped,
        contribution=None,
        features=[str(column) for column in range(LENGTHS * len(FEATURES))],
        state=np.zeros(expected.shape[1], np.float32),
    )
    found = probe(model).step(z.reshape(300, -1), np.zeros(300, np.float32), np.zeros((300, expected.shape[1]), "f4"))
    assert found.next_state == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_features_that_labels_speak_for_are_worth_more_than_others_and_all_are_worth_something() -> None:
    worth = evidence.worth(np.array([[0.0, 0.3], [0.0, 0.1]]))
    assert worth.max() == worth[0, 1] == 1
    assert (worth[:, 0] > 0).all()
    assert (worth[:, 0] < worth[:, 1]).all()
    assert (evidence.worth(np.zeros((2, 2))) == 1).all()


def summed(model: onnx.ModelProto, x: Float32) -> Float32:
    """What a sum over trees gives for rows [N, 5]."""
    graph = Graph()
    known = graph.op("Where", graph.op("IsNaN", "x"), graph.const(0), "x")
    closed = graph.close(
        score=graph.op("Squeeze", graph.embed(model, known), graph.const([1], np.int64)),
        next_state="state",
        contribution=None,
        features=tuple("abcde"),
        state=np.zeros(0, np.float32),
    )
    return probe(closed).step(x, np.zeros(len(x), np.float32), np.zeros((len(x), 0), np.float32)).score


def test_boosted_trees_give_the_odds_that_scikit_learn_gives() -> None:
    # Edges between bins are values of the data: rows on an edge must fall on its same side.
    x = np.random.default_rng(1).normal(size=(3000, 5)).round(1).astype(np.float32)
    learner = HistGradientBoostingClassifier(max_iter=20, max_leaf_nodes=6).fit(x, x[:, 0] * x[:, 1] > 0.2)
    assert summed(trees.boosted(learner), x) == pytest.approx(-learner.decision_function(x), abs=1e-5)


@pytest.mark.parametrize("kind", [RandomForestClassifier, ExtraTreesClassifier])
def test_averaged_trees_give_their_part_of_the_probability_that_scikit_learn_gives(
    kind: type[RandomForestClassifier | ExtraTreesClassifier],
) -> None:
    x = np.random.default_rng(1).normal(size=(3000, 5)).round(1).astype(np.float32)
    learner = kind(n_estimators=10, max_depth=6, random_state=0).fit(x, x[:, 0] * x[:, 1] > 0.2)
    found = summed(trees.averaged(learner, 0.5), x)
    assert found == pytest.approx(0.5 * learner.predict_proba(x)[:, 0], abs=1e-5)


def test_isolating_trees_give_the_score_that_scikit_learn_gives() -> None:
    x = np.random.default_rng(2).normal(size=(1000, 5)).round(1).astype(np.float32)
    forest = IsolationForest(n_estimators=30, max_samples=128, random_state=0).fit(x)
    usual = 30 * trees.mean_cuts(np.array(128))
    assert 2 ** (-summed(trees.isolating(forest), x) / usual) == pytest.approx(-forest.score_samples(x), abs=1e-5)


def test_a_baseline_does_not_learn_what_is_labelled_as_an_attack() -> None:
    calm, under = table(nodes=2, seconds=3000, step=5, seed=3), attacked().take(np.arange(4 * 240))
    prior = deviations.fit(calm)
    idle = FEATURES.index("cpu_sec_idle")
    labelled = replay.watch(prior, under)[under.attack, -1, idle]
    unlabelled = replay.watch(prior, under.select(FEATURES).take(np.arange(len(under))).normal())
    assert np.median(labelled) < -5
    assert np.abs(np.median(unlabelled[:, -1, idle])) < 2


def test_streams_with_attacks_cut_out_and_with_few_attacks_stand_beside_the_recorded_one() -> None:
    rows = attacked()
    assert rows.attack is not None
    streams, source = replay.augmented(rows)
    assert streams.attack is not None
    assert np.array_equal(streams.x, rows.x[source])
    share = [streams.attack[streams.node == node].mean() for node in range(len(streams.nodes))]
    assert len(streams.nodes) == 12
    assert share[:4] == pytest.approx([rows.attack.mean()] * 4)
    assert share[4::2] == [0] * 4
    assert all(0 < few < 2 * replay.THINNED_SHARE for few in share[5::2])


def test_where_attacks_were_cut_out_time_is_closed_up() -> None:
    streams, _ = replay.augmented(attacked())
    for node in range(len(streams.nodes)):
        step_ms = np.diff(streams.time_ms[streams.node == node])
        assert 0 < step_ms.min() <= step_ms.max() <= 10_000 * replay.CLOSED_STEPS


@pytest.fixture(scope="module")
def boosted() -> Detector:
    build = gradient_boosting.fit(attacked())
    assert build.even is not None
    return probe(build.at(Alarm(build.even)))


def test_nodes_that_were_never_seen_are_told_apart(boosted: Detector) -> None:
    rows = table(nodes=4, seconds=2400, step=5, seed=77, attack=(1200, 1500), busy_spread=2)
    called = run(boosted, rows).score > 1
    assert rows.attack is not None
    assert called[rows.attack].mean() > 0.9
    assert called[~rows.attack].mean() < 0.05


def test_an_attack_that_lasts_for_hours_is_not_learnt(boosted: Detector) -> None:
    rows = table(nodes=2, seconds=4 * 3600, step=15, seed=78, attack=(3600, 4 * 3600))
    over = run(boosted, rows).score.reshape(-1, 2)[-20:] > 1
    assert over.all()


def test_an_attack_below_the_alarm_is_hardly_learnt() -> None:
    model = probe(gradient_boosting.fit(attacked()).at(Alarm(1e3)))
    rows = table(nodes=2, seconds=3600, step=10, seed=80, attack=(1200, 3600))
    odds = -np.log(0.5)
    likely = run(model, rows).score.reshape(-1, 2) * 1e3 > odds
    assert likely[-60:].all()


def test_most_attacks_on_nodes_left_out_reach_the_highest_threshold_that_is_needed() -> None:
    build = gradient_boosting.fit(attacked())
    assert build.even is not None
    assert build.most is not None
    rows = table(nodes=2, seconds=2400, step=10, seed=81, attack=(1200, 1500), busy_spread=2)
    score = run(probe(build.at(Alarm(build.most))), rows).score
    assert build.most >= build.even
    assert rows.attack is not None
    assert score[rows.attack].max() > 1


def test_of_one_attacked_node_times_are_left_out() -> None:
    rows = attacked()
    one = rows.take(rows.node == 1)
    assert supervised.can_learn(one)
    build = gradient_boosting.fit(one)
    assert build.even is not None
    assert build.most is not None
    assert build.most > build.even


def test_a_feature_that_was_absent_in_training_says_nothing() -> None:
    build = gradient_boosting.fit(attacked(missing=("lis_conn",)))
    model = probe(build.at(Alarm(1.0)))
    rows = table(nodes=2, seconds=600, step=5, seed=79)
    with_it = run(model, rows).score
    rows.x[:, FEATURES.index("lis_conn")] = 1e6
    assert np.array_equal(run(model, rows).score, with_it)


def test_fitted_again_to_the_same_rows_it_is_the_same_detector() -> None:
    build = gradient_boosting.fit(attacked())
    assert build.again is not None
    anew = build.again(attacked())
    assert anew.at(Alarm(1.0)) == build.at(Alarm(1.0))
    assert anew.even == build.even


def test_too_few_attacks_teach_nothing() -> None:
    assert supervised.can_learn(attacked())
    assert not supervised.can_learn(table(nodes=1, seconds=600))
    assert not supervised.can_learn(table(nodes=1, seconds=600, attack=(100, 200)))


def test_attacks_that_weigh_nothing_are_not_counted() -> None:
    rows = attacked()
    assert rows.attack is not None
    assert not supervised.can_learn(replace(rows, weight=(~rows.attack).astype(np.float32)))
