"""What is said of scores, on cases that can be counted by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.detection.cases import START_MS, Case, Episode, Stream, node_table
from benchmarks.detection.figures import Judged, figures, judged
from benchmarks.detection.scoring import Scored
from models.measures import Labelled
from models.table import Table, joined
from receiver.columns import Float32, Int64

FEATURES = ("cpu_sec_idle", "disk_read", "lis_conn", "udp_sock_inuse")


def rows(scores: str, attacks: str) -> Labelled:
    """Rows of 10 s written as `#` (over the threshold; an attack) and `.`."""
    return Labelled(
        START_MS / 1000 + 10 * np.arange(len(scores), dtype=np.float64),
        score_of(scores).astype(np.float64),
        marks(attacks),
    )


def marks(text: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.array([mark == "#" for mark in text])


def score_of(text: str) -> Float32:
    return np.where(marks(text), 2.0, 0.5).astype(np.float32)


def one_node(scores: str, attacks: str, episodes: tuple[Episode, ...] = (), top: Int64 | None = None) -> Judged:
    return Judged("n", rows(scores, attacks), top, FEATURES, episodes, from_start=True)


def episode(kind: str, start_row: int, end_row: int, *, unseen: bool = False) -> Episode:
    return Episode(0, START_MS + 10_000 * start_row, START_MS + 10_000 * end_row, kind, unseen)


def test_rows_are_averaged_over_nodes_beside_the_worst() -> None:
    good, bad = one_node("..##", "..##"), Judged("m", rows("##..", "..##"), None, FEATURES, (), from_start=True)
    found = figures([good, bad], "accuracy")
    assert (found["accuracy"], found["accuracy_worst"]) == (0.5, 0.0)
    assert (found["false_positive_rate"], found["false_positive_rate_worst"]) == (0.5, 1.0)
    assert found["per_node"]["n"]["accuracy"] == 1.0


def test_the_budget_is_held_against_what_came_only_where_it_was_asked_for() -> None:
    nodes = [one_node("." * 100, "." * 100)]
    assert figures(nodes, "budget")["calibration"] == 0
    assert "calibration" not in figures(nodes, "accuracy")


def test_cold_start_is_not_measured_where_the_model_knew_the_node() -> None:
    known = Judged("n", rows("." * 100, "." * 100), None, FEATURES, (), from_start=False)
    assert "cold_1h_false_alerts" not in figures([known], "budget")
    assert "cold_1h_false_alerts" in figures([one_node("." * 100, "." * 100)], "budget")


def test_recall_is_counted_by_kind_and_for_strengths_never_trained_on() -> None:
    scores, attacks = "...###....................######", "..####.........####........#####"
    episodes = (episode("a", 2, 5), episode("b", 15, 18, unseen=True), episode("a", 27, 31, unseen=True))
    found = figures([one_node(scores, attacks, episodes)], "budget")
    assert found["per_kind"]["a"]["events"] == 2
    assert found["per_kind"]["a"]["event_recall_raised"] == 1.0
    assert found["per_kind"]["b"]["event_recall_raised"] == 0.0
    assert found["all_kinds"]["event_recall_raised"] == pytest.approx(2 / 3)
    assert found["unseen_strengths"]["event_recall_raised"] == 0.5
    assert found["per_kind"]["a"]["delay_median_seconds"] == 10.0  # raised after 20 s, and at once


def top_of(length: int, **row_features: str) -> Int64:
    """Top features of some rows, by `r<row>`."""
    top = np.full((length, 3), -1)
    for row, feature in row_features.items():
        top[int(row[1:]), 0] = FEATURES.index(feature)
    return top


def explained(scores: str, top: Int64) -> Any:
    found = figures([one_node(scores, "..####..", (episode("cpu-stress", 2, 5),), top)], "budget")
    return found["all_kinds"].get("explained")


def test_an_attack_is_explained_by_the_row_that_raised_the_alert() -> None:
    assert explained("..####..", top_of(8, r3="cpu_sec_idle", r4="disk_read")) == 1.0
    assert explained("..####..", top_of(8, r3="disk_read", r4="cpu_sec_idle")) == 0.0


def test_an_attack_that_raised_nothing_is_explained_by_its_highest_score() -> None:
    assert explained("....#...", top_of(8, r4="cpu_sec_idle")) == 1.0
    assert explained("....#...", top_of(8, r2="cpu_sec_idle")) == 0.0


def test_no_contribution_is_no_explanation() -> None:
    assert explained("..####..", top_of(8)) == 0.0


def test_nothing_is_said_of_kinds_of_which_nothing_is_stated() -> None:
    found = figures([one_node("..####..", "..####..", (episode("unheard-of", 2, 5),), top_of(8))], "budget")
    assert "explained" not in found["all_kinds"]


def node(name: str, attacks: str) -> Table:
    x = np.zeros((len(attacks), len(FEATURES)), np.float32)
    return node_table(name, FEATURES, np.arange(len(attacks)) * 10_000, x, marks(attacks))


def test_a_view_holds_its_rows_and_episodes_of_every_node() -> None:
    table = joined([node("a", "..##.."), node("b", "....##")])
    late = np.tile(np.arange(6) >= 3, 2)
    episodes = (
        Episode(0, START_MS + 20_000, START_MS + 30_000, "x"),
        Episode(1, START_MS + 40_000, START_MS + 50_000, "y"),
    )
    case = Case("c", table, "budget", (Stream("s", table, {"all": np.ones(12, bool), "late": late}, episodes),))
    found = judged(case, Scored({"s": np.arange(12, dtype=np.float32)}, {}, {}))
    assert [one.name for one in found["late"]] == ["c a", "c b"]
    assert [one.rows.score.tolist() for one in found["late"]] == [[3, 4, 5], [9, 10, 11]]
    assert [[one.kind for one in judged_.episodes] for judged_ in found["late"]] == [[], ["y"]]
    assert [one.from_start for one in found["late"]] == [False, False]
    assert [one.from_start for one in found["all"]] == [True, True]
    assert [len(one.episodes) for one in found["all"]] == [1, 1]
