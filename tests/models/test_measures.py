"""The measuring code, on cases that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from models.alerts import Alerts
from models.measures import (
    Labelled,
    at_threshold,
    best_f1,
    calibration,
    cold_start,
    events,
    find,
    operators,
    ranking,
    reached,
    settled,
)


def labelled(scores: str, attacks: str, step: float = 10.0) -> Labelled:
    """Rows written as `#` (over the threshold; an attack) and `.`."""
    return Labelled(
        np.arange(len(scores), dtype=np.float64) * step,
        np.array([2.0 if mark == "#" else 0.5 for mark in scores]),
        np.array([mark == "#" for mark in attacks]),
    )


def test_events_are_runs_of_attack_rows() -> None:
    first, last = events(labelled(".........", "#..##...#"))
    assert (first.tolist(), last.tolist()) == ([0, 3, 8], [0, 4, 8])


def test_delay_is_counted_to_the_row_that_raises() -> None:
    found = find(labelled("....##....", "...####..."))
    assert found.raised_after.tolist() == [20.0]
    assert found.open_after.tolist() == [20.0]
    assert found.false_alerts == 0


def test_an_alert_that_is_raised_shortly_after_the_event_raises_it_but_is_not_open_in_it() -> None:
    found = find(labelled("......##..", "...##....."))
    assert found.raised_after.tolist() == [40.0]
    assert found.open_after.tolist() == [np.inf]


def test_an_alert_that_was_open_before_the_event_is_open_but_not_raised() -> None:
    found = find(labelled("##########", ".....###.."))
    assert found.raised_after.tolist() == [np.inf]
    assert found.open_after.tolist() == [0.0]


def test_an_alert_far_from_all_events_is_false() -> None:
    found = find(labelled("##" + "." * 30, "." * 20 + "##" + "." * 10))
    assert (found.false_alerts, found.true_alerts) == (1, 0)
    assert found.raised_after.tolist() == [np.inf]


@pytest.mark.parametrize(("gap", "false"), [(3, 0), (4, 1)])
def test_an_alert_up_to_30_s_before_an_event_is_not_false(gap: int, false: int) -> None:
    found = find(labelled("##" + "." * 20, "." * (1 + gap) + "##" + "." * (19 - gap)))
    assert found.false_alerts == false


@pytest.mark.parametrize(("gap", "false"), [(10, 0), (11, 1)])
def test_an_alert_up_to_120_s_after_an_event_is_not_false(gap: int, false: int) -> None:
    found = find(labelled("." * 10 + "." * gap + "##", "." * 9 + "#" + "." * (gap + 2)))
    assert found.false_alerts == false


def test_false_alerts_within_ten_minutes_count_once_but_a_true_one_between_is_true() -> None:
    quiet = "." * 20
    found = find(labelled(f"##{quiet}##{quiet}##", f"..{quiet}##{quiet}.."))
    assert (found.false_alerts, found.true_alerts) == (1, 1)
    assert found.raised_after.tolist() == [10.0]


def test_missed_events_count_with_their_length_in_the_delay() -> None:
    figures = operators([find(labelled("." * 20 + "##", "#####" + "." * 17))])
    assert figures["event_recall_raised"] == 0
    assert figures["delay_median_seconds"] == 40


def test_rates_are_of_the_normal_time() -> None:
    rows = 8640
    figures = operators([find(labelled("##" + "." * (rows - 2), "." * rows))])
    assert figures["normal_node_days"] == pytest.approx(1.0, rel=0.001)
    assert figures["false_alerts_per_node_day"] == pytest.approx(1.0, rel=0.001)
    assert figures["false_alerts_per_node_day_bound_95"] == pytest.approx(4.74, rel=0.01)
    assert figures["events"] == 0
    assert figures["event_recall_raised"] is None


def test_recall_within_a_time() -> None:
    figures = operators([find(labelled(".....##..", ".########")), find(labelled(".##......", ".########"))])
    assert figures["event_recall_raised_30s"] == 0.5
    assert figures["event_recall_raised_60s"] == 1.0


def test_a_perfect_ranking_is_one_and_a_constant_one_is_the_share_of_attacks() -> None:
    attack = np.array([0, 0, 0, 1], bool)
    perfect = Labelled(np.arange(4.0), np.array([0.1, 0.2, 0.3, 0.9]), attack)
    constant = Labelled(np.arange(4.0), np.ones(4), attack)
    assert ranking([perfect])["auc_pr"] == 1.0
    assert ranking([constant])["auc_pr"] == ranking([perfect])["auc_pr_random"] == 0.25


def test_nodes_without_both_kinds_are_not_ranked() -> None:
    assert ranking([labelled("..##", "....")]) == {}


def test_the_best_f1_by_hand() -> None:
    # Over the two highest: 1 hit, 1 wrong; over the three highest: 2 hits, 1 wrong, none missed.
    assert best_f1(np.array([1, 0, 1, 0], bool), np.array([0.9, 0.8, 0.7, 0.1])) == pytest.approx(0.8)


def test_rows_at_the_threshold_by_hand() -> None:
    figures = at_threshold([labelled("##..#", "#.#..")])
    assert figures["accuracy"] == pytest.approx(0.4)
    assert figures["f1"] == pytest.approx(2 / 5)
    assert figures["false_positive_rate"] == pytest.approx(2 / 3)


def test_intervals_may_begin_between_rows() -> None:
    rows = np.arange(10, dtype=np.float64) * 10
    raised, opened = reached(rows, Alerts(np.array([4]), np.array([6])), np.array([33.0, 65.0]), np.array([38.0, 66.0]))
    assert raised.tolist() == [7.0, np.inf]
    assert opened.tolist() == [np.inf, np.inf]


def test_an_interval_is_open_where_the_alert_reaches_into_it() -> None:
    rows = np.arange(10, dtype=np.float64) * 10
    raised, opened = reached(rows, Alerts(np.array([4]), np.array([6])), np.array([35.0, 55.0]), np.array([45.0, 80.0]))
    assert raised.tolist() == [5.0, np.inf]
    assert opened.tolist() == [5.0, 0.0]


def test_rows_after_a_change_of_label_are_left_out() -> None:
    node = settled(labelled(".........", "..###...."), 2)
    assert (node.seconds / 10).tolist() == [0, 1, 4, 7, 8]
    assert node.attack.tolist() == [False, False, True, False, False]


def test_a_change_near_the_end_leaves_out_what_there_is() -> None:
    assert (settled(labelled("....", "...#"), 6).seconds / 10).tolist() == [0, 1, 2]


def test_without_a_change_every_row_counts() -> None:
    assert len(settled(labelled("....", "...."), 6).score) == 4


def test_calibration_is_the_realised_rate_by_the_asked_one() -> None:
    day = 8641
    quiet, loud = "." * day, "##" + "." * (day - 2)
    figures = calibration([find(labelled(scores, "." * day)) for scores in (quiet, quiet, loud)], 0.5)
    assert figures["calibration"] == pytest.approx(2 / 3)
    assert figures["calibration_bound_95"] == pytest.approx(4.74 / 3 / 0.5, rel=0.01)
    assert figures["calibration_median"] == 0
    assert figures["calibration_worst"] == pytest.approx(2.0)


def test_cold_start_counts_what_falls_into_the_first_minutes() -> None:
    rows = 8641
    early, late = "." * 30 + "##" + "." * (rows - 32), "." * 200 + "##" + "." * (rows - 202)
    figures = cold_start([labelled(early, "." * rows), labelled(late, "." * rows)])
    assert figures["cold_10min_false_alerts"] == 1
    assert figures["cold_1h_false_alerts"] == 2
    assert figures["cold_10min_normal_node_days"] == pytest.approx(2 * 600 / 86400)
    assert figures["cold_1day_false_alerts_per_node_day"] == pytest.approx(1.0)
    assert figures["cold_1day_false_alerts_per_node_day_bound_95"] == pytest.approx(6.30 / 2, rel=0.01)
