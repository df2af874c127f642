"""What each row teaches, by what operators have said and what was scored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.retraining import lessons
from models.retraining.lessons import LABEL_SHARE, LABELS_SHARE, LEAST_TRUST
from models.retraining.sample import Sample
from receiver.columns import NodeName
from receiver.store import Label
from tests.models.nodes import START_MS, table

STEP_MS = 10_000
ROWS = 360  # of each of two nodes


def sample(labels: list[Label]) -> Sample:
    rows = table(nodes=2, seconds=ROWS * 10, step=10)
    rows = rows.take(np.lexsort((rows.time_ms, rows.node)))
    return Sample(rows, np.zeros(len(rows), np.float32), np.ones(len(rows), bool), tuple(labels))


def label(first: int, last: int, attack: bool, created: int = 0, node: int = 0) -> Label:
    start_ms, end_ms = START_MS + first * STEP_MS, START_MS + last * STEP_MS
    return Label(NodeName("", f"node-{node}"), start_ms, end_ms, attack, None, "", "ann", created)


def test_rows_inside_of_a_label_are_what_it_says() -> None:
    taught = lessons.of(sample([label(10, 19, True), label(30, 39, False)]), None)
    assert taught.table.attack is not None
    assert np.flatnonzero(taught.table.attack).tolist() == list(range(10, 20))


def test_of_two_labels_the_newer_one_holds() -> None:
    taught = lessons.of(sample([label(10, 19, True, created=1), label(15, 24, False, created=2)]), None)
    assert taught.table.attack is not None
    assert np.flatnonzero(taught.table.attack).tolist() == list(range(10, 15))


@pytest.mark.parametrize(("first", "last"), [(10, 10), (10, 99)])
def test_a_label_weighs_its_share_however_long_it_is(first: int, last: int) -> None:
    weight = lessons.of(sample([label(first, last, True)]), None).table.weight
    assert weight is not None
    labelled = slice(first, last + 1)
    others = np.delete(weight, labelled).sum()
    assert weight[labelled].sum() >= LABEL_SHARE * others * 0.999


def test_many_labels_weigh_their_share_together() -> None:
    places = range(0, 200, 2)
    weight = lessons.of(sample([label(place, place, True) for place in places]), None).table.weight
    assert weight is not None
    others = np.delete(weight, places).sum()
    assert weight[places].sum() == pytest.approx(LABELS_SHARE * others, rel=0.01)


def test_labels_that_part_an_alert_weigh_together_what_one_weighs() -> None:
    rows = sample([label(100, 103, True)])
    rows.score[98:110] = 2
    one = lessons.of(rows, None).table.weight
    parts = lessons.of(replace(rows, labels=(label(100, 101, True), label(102, 103, False))), None).table.weight
    assert one is not None
    assert parts is not None
    assert one[100] > 3
    np.testing.assert_allclose(parts, one)


def test_labels_that_part_an_alert_may_share_the_row_between_them() -> None:
    rows = sample([])
    rows.score[98:110] = 2
    apart, touching = (
        lessons.of(replace(rows, labels=(label(100, 101, True), label(first, 103, False))), None).table.weight
        for first in (102, 101)
    )
    assert apart is not None
    assert touching is not None
    assert touching == pytest.approx(apart)


def test_a_label_within_a_longer_one_weighs_for_itself() -> None:
    rows = sample([label(0, ROWS - 1, False), label(100, 101, True, created=1)])
    rows.score[98:110] = 2
    weight = lessons.of(rows, None).table.weight
    assert weight is not None
    assert weight[100] > 3


def test_labels_of_two_alerts_weigh_for_themselves() -> None:
    rows = sample([label(100, 103, True), label(200, 203, False)])
    rows.score[98:110] = rows.score[198:210] = 2
    weight = lessons.of(rows, None).table.weight
    assert weight is not None
    one = sample([label(100, 103, True)])
    one.score[98:110] = 2
    alone = lessons.of(one, None).table.weight
    assert alone is not None
    assert weight[[100, 200]] == pytest.approx(alone[100], rel=0.05)


def test_the_nearer_a_row_was_to_an_alarm_the_less_it_teaches() -> None:
    mixed = sample([])
    mixed.score[: len(mixed.score) // 2] = 0.9
    weight = lessons.of(mixed, None).table.weight
    assert weight is not None
    assert weight[0] == pytest.approx(0.1 * weight[-1])


def test_an_alert_that_nobody_has_judged_teaches_nothing_nor_what_is_near_it() -> None:
    rows = sample([])
    rows.score[100:110] = 2
    weight = lessons.of(rows, None).table.weight
    assert weight is not None
    assert not weight[98:121].any()
    assert weight[90]
    assert weight[130]


def test_an_alert_that_an_operator_has_judged_teaches() -> None:
    rows = sample([label(99, 110, False)])
    rows.score[100:110] = 2
    weight = lessons.of(rows, None).table.weight
    assert weight is not None
    assert weight[99:111].all()


def test_what_an_alert_has_beyond_its_label_teaches_nothing_since_the_attack_may_go_on() -> None:
    rows = sample([label(100, 109, True, created=START_MS + 120 * STEP_MS)])
    rows.score[99:140] = 2
    weight = lessons.of(rows, None).table.weight
    assert weight is not None
    assert weight[100:110].all()
    assert not weight[110:140].any()


def test_an_alert_that_outlasts_its_attack_is_not_counted_as_false() -> None:
    rows = sample([label(100, 109, True, created=START_MS + 200 * STEP_MS)])
    rows.score[99:140] = 2
    found = lessons.of(rows, None)
    assert not (found.typical | found.excused)[110:140].any()


def test_alerts_are_counted_on_rows_that_were_drawn_and_are_no_attack() -> None:
    rows = sample([label(10, 19, True), label(30, 39, False)])
    rows = replace(rows, drawn=np.arange(len(rows.table)) >= 15)
    typical = lessons.of(rows, None).typical
    assert not typical[:20].any()
    assert typical[20:].all()


def test_where_alerts_are_judged_a_false_one_is_counted_as_far_as_it_goes_on_and_an_unjudged_one_is_not() -> None:
    rows = sample([label(99, 110, False)])
    rows.score[100:110] = rows.score[200:210] = 2
    found = lessons.of(rows, None)
    assert np.flatnonzero(found.excused).tolist() == list(range(99, 111))
    assert not found.typical[99:111].any()
    assert not found.typical[200:210].any()
    assert found.typical[260:].all()


def test_where_no_alert_is_judged_all_are_counted() -> None:
    rows = sample([label(20, 29, False)])
    rows.score[200:210] = 2
    assert lessons.of(rows, None).typical.all()


def test_recorded_rows_come_behind_and_weigh_as_much_as_those_of_the_store() -> None:
    known = table(nodes=1, seconds=300, step=1, attack=(100, 150))
    taught = lessons.of(sample([]), known)
    stored = 2 * ROWS
    assert taught.table.weight is not None
    assert taught.table.attack is not None
    assert taught.table.attack[stored:].sum() == 50
    assert taught.table.weight[:stored].sum() == pytest.approx(taught.table.weight[stored:].sum())
    assert len(taught.table.nodes) == 3
    assert set(taught.table.node[stored:].tolist()) == {2}
    assert taught.typical[stored:].all()


def test_a_few_rows_of_a_store_weigh_no_more_each_than_recorded_ones() -> None:
    known = table(nodes=1, seconds=10 * ROWS, step=1, attack=(500, 600))
    weight = lessons.of(sample([]), known).table.weight
    assert weight is not None
    assert (weight == 1).all()


@pytest.mark.parametrize(("missed", "trusted"), [(0, 1.0), (2, 0.6), (8, LEAST_TRUST)])
def test_the_more_attacks_audits_find_the_less_what_nobody_has_spoken_of_teaches(missed: int, trusted: float) -> None:
    audits = [label(20 * place, 20 * place, place < missed) for place in range(8 + missed)]
    unspoken = lessons.of(sample(audits), None).table.weight
    assert unspoken is not None
    assert unspoken[-1] == pytest.approx(trusted)


def test_what_was_audited_stands_for_what_was_not() -> None:
    places = range(0, 320, 20)
    weight = lessons.of(sample([label(place, place, place % 40 == 0) for place in places]), None).table.weight
    assert weight is not None
    assert np.delete(weight, places).sum() < 1
    assert weight[places].sum() == pytest.approx(2 * ROWS, rel=0.01)


def test_audits_stand_for_every_row_below_the_threshold_however_near_an_alarm_it_was() -> None:
    rows = sample([label(place, place, place % 40 == 0) for place in range(0, 320, 20)])
    rows.score[:ROWS] = 0.9
    weight = lessons.of(rows, None).table.weight
    assert weight is not None
    assert weight[range(0, 320, 20)].sum() == pytest.approx(2 * ROWS, rel=0.01)


def test_audits_that_find_no_attack_weigh_as_other_labels_do() -> None:
    places = range(0, 200, 20)
    rows = sample([label(place, place, False) for place in places])
    rows.score[:ROWS] = 0.9
    weight = lessons.of(rows, None).table.weight
    assert weight is not None
    assert weight[places].sum() == pytest.approx(LABEL_SHARE * len(places) * np.delete(weight, places).sum(), rel=0.01)


def test_audits_do_not_stand_for_what_alerts_were_judged_on() -> None:
    places = range(0, 200, 20)
    rows = sample([*(label(place, place, place % 40 == 0) for place in places), label(300, 349, True)])
    rows.score[305:345] = 2
    weight = lessons.of(rows, None).table.weight
    assert weight is not None
    assert weight[places].sum() == pytest.approx(2 * ROWS - 50, rel=0.01)


def test_reports_of_missed_attacks_alone_say_nothing_of_what_nobody_has_spoken_of() -> None:
    weight = lessons.of(sample([label(20 * place, 20 * place, True) for place in range(8)]), None).table.weight
    assert weight is not None
    assert weight[-1] == 1
