"""The operator of the benchmark of feedback, and that no round's model knows of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.prequential import recorded
from benchmarks.prequential.operator import AUDITED_ROWS, Operator, Seen, labels
from benchmarks.prequential.rounds import Course, go, rounds_of
from benchmarks.recordings import unfamiliar
from models.detectors import zscore
from models.own_threshold import Alarm
from models.retraining import lessons
from models.retraining.sample import Sample
from models.run import probe
from models.scenarios import dataset
from receiver import registry
from receiver.catalogue import load
from receiver.columns import Bool, Float64, NodeName
from receiver.detector import Detector
from tests.models.nodes import table

ROWS = 200


def seen(over: list[tuple[int, int]], attacks: list[tuple[int, int]], speaks: bool = True) -> Seen:
    """Rows a second apart; over the threshold, and attacked, from … to …, both included."""
    score, attack = np.zeros(ROWS), np.zeros(ROWS, bool)
    for first, last in over:
        score[first : last + 1] = 2
    for first, last in attacks:
        attack[first : last + 1] = True
    return Seen(NodeName("", "a"), np.arange(ROWS, dtype=np.int64), score, attack, np.full(ROWS, speaks))


def said(rows: Seen, operator: Operator) -> list[tuple[int, int, bool]]:
    return [(label.start_ms, label.end_ms, label.attack) for label in labels(rows, operator, 0)]


def test_an_alert_on_an_attack_is_labelled_with_the_attacks_own_interval() -> None:
    assert said(seen([(60, 70)], [(50, 90)]), Operator(0)) == [(50, 90, True)]


def test_what_an_alert_has_beside_its_attack_was_none() -> None:
    assert said(seen([(40, 100)], [(50, 90)]), Operator(0)) == [(50, 90, True), (41, 49, False), (91, 100, False)]


def test_an_attack_with_two_alerts_is_labelled_once() -> None:
    assert said(seen([(60, 65), (80, 85)], [(50, 90)]), Operator(0)) == [(50, 90, True)]


def test_an_alert_that_touches_no_attack_is_a_false_alarm_from_its_raising_to_its_last_row() -> None:
    assert said(seen([(20, 29)], [(50, 90)]), Operator(0)) == [(21, 29, False)]


def test_nothing_is_said_of_an_attack_without_an_alert_but_by_audits() -> None:
    rows = seen([], [(50, 149)])
    assert said(rows, Operator(0)) == []
    audits = said(rows, Operator(8))
    assert len(audits) == 8
    for first, last, attack in audits:
        assert last - first == AUDITED_ROWS - 1
        assert (rows.attack[first : last + 1] == attack).all()


def test_audits_look_below_the_threshold_only() -> None:
    rows = seen([(20, 180)], [])
    audits = [one for one in said(rows, Operator(3)) if one[1] - one[0] == AUDITED_ROWS - 1]
    assert all(last < 20 or first > 180 for first, last, _ in audits)


def test_of_some_attacks_nothing_is_ever_said() -> None:
    assert said(seen([(60, 95)], [(50, 90)], speaks=False), Operator(5)) == []


def test_who_is_always_wrong_says_the_opposite_of_who_is_right() -> None:
    rows = seen([(20, 29), (60, 70)], [(50, 90)])
    right, wrong = said(rows, Operator(4)), said(rows, Operator(4, wrong=1.0))
    assert [one[2] for one in wrong] == [not one[2] for one in right]


def test_each_nodes_rows_fall_into_rounds_of_equal_size() -> None:
    rows = table(nodes=2, seconds=700, step=10)
    ordered = rows.take(np.lexsort((rows.time_ms, rows.node)))
    found = rounds_of(ordered, 7)
    for node in range(2):
        assert np.bincount(found[ordered.node == node]).tolist() == [10] * 7


@pytest.mark.parametrize("operator", [None, Operator(2)])
def test_a_round_is_scored_by_a_model_that_was_trained_on_the_rounds_before_it(operator: Operator | None) -> None:
    rows = table(nodes=2, seconds=1200, step=10, attack=(400, 800))
    stream = rows.take(np.lexsort((rows.time_ms, rows.node)))
    trained_on: list[tuple[int, Float64, Bool]] = []

    def train(sample: Sample, active: Detector) -> Detector:
        taught = lessons.of(sample, None)
        assert taught.table.attack is not None
        trained_on.append((len(taught.table), taught.table.time_ms.astype(float), taught.table.attack))
        return active

    start = probe(zscore.fit(stream).at(Alarm(5.0)))
    course = Course(stream, rounds_of(stream, 4), np.ones(len(stream), bool), train)
    went = go(course, start, operator, lambda _: None)
    assert [rows for rows, _, _ in trained_on] == [60, 120, 180]
    if operator is None:
        assert not any(attack.any() for _, _, attack in trained_on)
        assert went.labels == ()
    else:
        assert trained_on[-1][2].any()


@pytest.mark.parametrize("session", dataset.sessions(dataset.UNFAMILIAR), ids=lambda session: session.stem)
def test_on_unfamiliar_work_attacks_of_every_second_kind_are_never_spoken_of(session: Path, tmp_path: Path) -> None:
    course, start, _ = recorded.course(session, tmp_path, lambda _: None)
    assert start.info == registry.first_model(load()).info
    attacked = unfamiliar(session, load().feature_names).attacks
    kinds = sorted({attack.kind for _, attack in attacked})
    for node, attack in attacked:
        inside = (course.stream.time_ms >= attack.start_ms) & (course.stream.time_ms <= attack.end_ms)
        assert set(course.speaks[inside & (course.stream.node == node)]) == {attack.kind not in kinds[::2]}
    assert course.speaks[course.stream.attack == 0].all()
