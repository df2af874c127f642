"""What a scrape sees."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from models.alerts import find
from receiver.alerts import CLEAR_ROWS
from receiver.columns import NodeName, Scores
from receiver.exposition import Exposition, RowKind, ShadowScores, Snapshot
from receiver.wire import Fault

NOW_SECONDS = 1_000_000.0
NAN = float("nan")

SNAPSHOT = Snapshot(
    node=np.arange(3, dtype=np.int32),
    names=(NodeName("prod", "worker-1"), NodeName("prod", "worker-2"), NodeName("", 'a "quoted"\\\nname')),
    time_ms=np.array([999_990_500, 999_998_000, 999_999_000]),
    score=np.array([0.3, 2.25, 1.5], np.float32),
    contribution=np.array([[NAN, NAN, NAN], [0.1, 0.7, 0.2], [0.9, -0.1, NAN]], np.float32),
    over_since_ms=np.array([0, 999_900_000, 999_999_000]),
    last_over=np.array([0b000, 0b111, 0b001]),
    raised_ms=np.array([0, 999_901_000, 0]),
    feature_names=("cpu_sec_idle", "load1", "intr"),
    model_version="2026-11-01",
    model_detector="pca",
)
NAMES = dict(enumerate(SNAPSHOT.names))


def exposition(snapshot: Snapshot = SNAPSHOT, *, now: float = NOW_SECONDS, top_features: int = 2) -> Exposition:
    return Exposition(
        snapshot,
        staleness_seconds=300.0,
        top_features=top_features,
        contribution_floor=0.5,
        entity="node",
        clock=lambda: now,
        version="1.2.3",
    )


def lines(shown: Exposition, name: str) -> list[str]:
    return [line for line in shown.render("")[0].decode().splitlines() if line.startswith(name)]


def test_the_nodes_are_exposed_byte_for_byte_as_prometheus_reads_them() -> None:
    body, content_type = exposition().render("text/plain")
    nodes = b"".join(line for line in body.splitlines(keepends=True) if b"anomaly_" in line)
    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert nodes == (
        b"# HELP anomaly_score Anomaly score of a node; above 1 is anomalous.\n"
        b"# TYPE anomaly_score gauge\n"
        b'anomaly_score{cluster="prod",node="worker-1"} 0.3\n'
        b'anomaly_score{cluster="prod",node="worker-2"} 2.25\n'
        b'anomaly_score{cluster="",node="a \\"quoted\\"\\\\\\nname"} 1.5\n'
        b"# HELP anomaly_feature_contribution What a feature adds to the score of its node, for the top features of "
        b"nodes over the floor.\n"
        b"# TYPE anomaly_feature_contribution gauge\n"
        b'anomaly_feature_contribution{cluster="prod",feature="load1",node="worker-2"} 0.7\n'
        b'anomaly_feature_contribution{cluster="prod",feature="intr",node="worker-2"} 0.2\n'
        b'anomaly_feature_contribution{cluster="",feature="cpu_sec_idle",node="a \\"quoted\\"\\\\\\nname"} 0.9\n'
        b"# HELP anomaly_over_since_timestamp_seconds Since when every row of a node has been over 1; its baseline has "
        b"stood still for so long.\n"
        b"# TYPE anomaly_over_since_timestamp_seconds gauge\n"
        b'anomaly_over_since_timestamp_seconds{cluster="prod",node="worker-2"} 999900.0\n'
        b'anomaly_over_since_timestamp_seconds{cluster="",node="a \\"quoted\\"\\\\\\nname"} 999999.0\n'
        b"# HELP anomaly_last_row_timestamp_seconds Time of the row that was scored.\n"
        b"# TYPE anomaly_last_row_timestamp_seconds gauge\n"
        b'anomaly_last_row_timestamp_seconds{cluster="prod",node="worker-1"} 999990.5\n'
        b'anomaly_last_row_timestamp_seconds{cluster="prod",node="worker-2"} 999998.0\n'
        b'anomaly_last_row_timestamp_seconds{cluster="",node="a \\"quoted\\"\\\\\\nname"} 999999.0\n'
        b"# HELP anomaly_muted_until_timestamp_seconds Until when alerts on a node are muted.\n"
        b"# TYPE anomaly_muted_until_timestamp_seconds gauge\n"
        b"# HELP anomaly_shadow_score What the model in the shadow gives a node; it raises no alert.\n"
        b"# TYPE anomaly_shadow_score gauge\n"
        b"# HELP anomaly_model_info 1 for the active model, 0 for the one before it and for the one in its shadow.\n"
        b"# TYPE anomaly_model_info gauge\n"
        b'anomaly_model_info{detector="pca",role="active",version="2026-11-01"} 1.0\n'
    )


def test_a_mute_is_exposed_until_it_is_over_also_of_a_node_that_another_replica_scores() -> None:
    shown = exposition()
    now_ms = int(NOW_SECONDS * 1000)
    shown.show_mutes({NodeName("prod", "worker-9"): now_ms + 2500, NodeName("prod", "worker-1"): now_ms})
    assert lines(shown, "anomaly_muted") == [
        'anomaly_muted_until_timestamp_seconds{cluster="prod",node="worker-9"} 1.0000025e+06'
    ]


def test_openmetrics_is_given_to_a_scraper_that_asks_for_it() -> None:
    body, content_type = exposition().render("application/openmetrics-text;version=1.0.0,text/plain;q=0.3")
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert body.endswith(b"# EOF\n")


@pytest.mark.parametrize("accept", ["*/*", "text/plain;version=x", "application/openmetrics-text;version=;=", ",;,="])
def test_any_accept_header_gets_an_exposition(accept: str) -> None:
    assert b"anomaly_score" in exposition().render(accept)[0]


def test_a_node_disappears_once_its_last_row_is_older_than_the_limit() -> None:
    last_row_seconds = 999_990.5
    at_the_limit = lines(exposition(now=last_row_seconds + 300), "anomaly_")
    after_it = lines(exposition(now=last_row_seconds + 300.001), "anomaly_")
    assert len([line for line in at_the_limit if "worker-1" in line]) == 2
    assert not [line for line in after_it if "worker-1" in line]


def test_a_node_without_a_score_is_not_exposed() -> None:
    unscored = replace(SNAPSHOT, score=np.array([NAN, 2.25, 1.5], np.float32))
    assert not [line for line in lines(exposition(unscored), "anomaly_") if "worker-1" in line]


def test_nothing_is_exposed_of_an_empty_snapshot_but_its_model() -> None:
    assert lines(exposition(Snapshot.empty((), "7", "zscore")), "anomaly_") == [
        'anomaly_model_info{detector="zscore",role="active",version="7"} 1.0'
    ]
    assert lines(exposition(Snapshot.empty()), "anomaly_") == []


def test_no_contribution_is_exposed_when_none_is_asked_for() -> None:
    assert lines(exposition(top_features=0), "anomaly_feature_contribution") == []


def test_a_contribution_that_is_no_finite_number_is_not_shown() -> None:
    broken = replace(SNAPSHOT, contribution=np.array([[NAN] * 3, [np.inf, 0.7, -np.inf], [NAN] * 3], np.float32))
    assert lines(exposition(broken), "anomaly_feature_contribution") == [
        'anomaly_feature_contribution{cluster="prod",feature="load1",node="worker-2"} 0.7'
    ]


def test_the_next_snapshot_replaces_the_one_before() -> None:
    shown = exposition()
    shown.show(replace(SNAPSHOT, score=np.array([9, 9, 9], np.float32)))
    assert lines(shown, "anomaly_score")[0].endswith(" 9.0")


def scores(*rows: tuple[int, int, float]) -> Scores:
    """Scores of (node, time_ms, score), each with itself as what the first feature adds."""
    node, time_ms, score = zip(*rows, strict=True)
    contribution = np.zeros((len(rows), 3), np.float32)
    contribution[:, 0] = score
    return Scores(np.array(node, np.int32), np.array(time_ms), np.array(score, np.float32), contribution, contribution)


def test_the_newest_score_of_a_node_is_shown_in_whatever_order_they_come() -> None:
    shown = exposition()
    shown.update(NAMES, scores((1, 999_999_000, 7), (1, 999_998_500, 8), (2, 999_998_000, 9)), "next", "pca")
    assert [line.split()[-1] for line in lines(shown, "anomaly_score")] == ["0.3", "7.0", "1.5"]
    assert 'feature="cpu_sec_idle",node="worker-2"} 7.0' in lines(shown, "anomaly_feature_contribution")[0]


def test_the_model_that_scores_is_1_and_the_one_before_it_0() -> None:
    shown = exposition()
    for version in ("second", "third", "third"):
        shown.update(NAMES, Scores.empty(3), version, "pca")
    assert lines(shown, "anomaly_model_info") == [
        'anomaly_model_info{detector="pca",role="active",version="third"} 1.0',
        'anomaly_model_info{detector="pca",role="before",version="second"} 0.0',
    ]


def test_the_shadow_is_shown_of_nodes_whose_last_row_is_not_old_and_that_are_known() -> None:
    shown = exposition()
    old = ShadowScores(
        "next",
        "pca",
        np.array([0, 1, 3], np.int32),
        np.array([1_000, 999_998_000, 999_998_000]),
        np.full(3, 0.5, np.float32),
    )
    shown.show_shadow(old)
    assert lines(shown, "anomaly_shadow_score") == [
        'anomaly_shadow_score{cluster="prod",model="next",node="worker-2"} 0.5'
    ]
    shown.show_shadow(old.after(scores((0, 999_999_000, 1), (5, 999_999_000, 2), (0, 999_999_500, 3))))
    assert [line.split()[-1] for line in lines(shown, "anomaly_shadow_score")] == ["3.0", "0.5"]
    assert 'role="shadow",version="next"} 0.0' in lines(shown, "anomaly_model_info")[-1]
    shown.show_shadow(None)
    assert lines(shown, "anomaly_shadow_score") == []


def over_since(shown: Exposition, node: str) -> list[str]:
    found = lines(shown, "anomaly_over_since_timestamp_seconds")
    return [line.split()[-1] for line in found if f'node="{node}"' in line]


def test_a_node_that_stays_over_the_threshold_is_told_with_the_time_since_when() -> None:
    shown = exposition()
    shown.update(NAMES, scores((0, 999_998_000, 1.5), (0, 999_999_000, 1.1)), "2026-11-01", "pca")
    assert over_since(shown, "worker-1") == ["999998.0"]
    shown.update(NAMES, scores((0, 999_999_500, 1.0)), "2026-11-01", "pca")
    assert over_since(shown, "worker-1") == []


def test_a_row_below_the_threshold_between_two_over_it_begins_the_time_anew() -> None:
    shown = exposition()
    rows = scores((1, 999_999_300, 3), (1, 999_999_100, 3), (1, 999_999_200, 1), (1, 999_000_000, 0))
    shown.update(NAMES, rows, "2026-11-01", "pca")
    assert over_since(shown, "worker-2") == ["999999.3"]


def test_an_alert_is_raised_and_cleared_row_by_row_as_the_one_definition_says() -> None:
    random = np.random.default_rng(3)
    marks = random.choice([0.5, 0.5, 2.0], 400)
    shown = exposition(Snapshot.empty(SNAPSHOT.feature_names))
    for row, value in enumerate(marks):
        shown.update({0: NodeName("", "w")}, scores((0, 1 + row, value)), "2026-11-01", "pca")
        found = find(marks[: row + 1])
        still_open = len(found) and row - found.last[-1] < CLEAR_ROWS
        assert shown.snapshot.raised_ms.tolist() == [1 + found.raised[-1] if still_open else 0]


def test_a_row_that_is_scored_again_counts_once() -> None:
    shown = exposition(Snapshot.empty(SNAPSHOT.feature_names))
    for value in (2.0, 3.0):
        shown.update({0: NodeName("", "w")}, scores((0, 1000, value)), "2026-11-01", "pca")
    assert (shown.snapshot.last_over.tolist(), shown.snapshot.raised_ms.tolist()) == ([1], [0])


def test_new_nodes_are_shown_beside_the_others() -> None:
    shown = exposition()
    names = [*SNAPSHOT.names, *(NodeName("new", str(place)) for place in range(9))]
    shown.update(dict(enumerate(names)), scores((7, 999_999_000, 4)), "2026-11-01", "pca")
    assert shown.snapshot.names == tuple(names)
    assert np.isfinite(shown.snapshot.score).tolist() == [True] * 3 + [False] * 4 + [True] + [False] * 4


def test_of_a_forgotten_node_nothing_is_shown_nor_of_it_under_the_name_that_has_its_place_then() -> None:
    shown = exposition()
    shown.show_shadow(ShadowScores.empty("next", "pca").after(scores((1, 999_999_000, 1), (2, 999_999_000, 2))))
    shown.forget([1])
    assert not any("worker-2" in line for line in lines(shown, "anomaly_"))
    names = {0: NAMES[0], 2: NAMES[2], 3: NodeName("", "new"), 4: NodeName("", "newer")}
    shown.update(names, Scores.empty(3), "2026-11-01", "pca")
    assert shown.snapshot.node.tolist() == [0, 2, 3, 4]
    assert shown.snapshot.time_ms.tolist() == [999_990_500, 999_999_000, 0, 0]
    assert np.isnan(shown.snapshot.contribution[2]).all()
    assert not any("new" in line for line in lines(shown, "anomaly_"))
    shown.update(names, scores((1, 999_999_500, 4), (3, 999_999_500, 0.25)), "2026-11-01", "pca")
    assert [line for line in lines(shown, "anomaly_") if "new" in line] == [
        'anomaly_score{cluster="",node="new"} 0.25',
        'anomaly_last_row_timestamp_seconds{cluster="",node="new"} 999999.5',
    ]
    assert (shown.snapshot.over_since_ms[2], shown.snapshot.last_over[2], shown.snapshot.raised_ms[2]) == (0, 0, 0)


def test_a_snapshot_stays_as_it_was_taken() -> None:
    shown = exposition()
    before = shown.snapshot
    shown.update(NAMES, scores((0, 999_999_000, 4)), "2026-11-01", "pca")
    assert before.score.tolist() == SNAPSHOT.score.tolist()
    assert before.time_ms.tolist() == SNAPSHOT.time_ms.tolist()


def test_every_labelled_metric_of_the_service_starts_at_zero() -> None:
    shown = exposition()
    for name, label, values in (
        ("nodescore_invalid_total", "reason", get_args(Fault)),
        ("nodescore_rows_total", "kind", get_args(RowKind)),
    ):
        assert lines(shown, name) == [f'{name}{{{label}="{value}"}} 0.0' for value in values]
    assert 'nodescore_requests_total{code="204",version="v2"} 0.0' in lines(shown, "nodescore_requests_total")


def test_a_request_is_counted_by_version_and_code_and_an_unknown_code_as_500() -> None:
    shown = exposition()
    shown.metrics.count_request("v2", 204)
    shown.metrics.count_request("v1", 418)
    assert [line for line in lines(shown, "nodescore_requests_total") if line.endswith(" 1.0")] == [
        'nodescore_requests_total{code="500",version="v1"} 1.0',
        'nodescore_requests_total{code="204",version="v2"} 1.0',
    ]


def test_the_exposition_parses_and_every_family_has_a_help_text_and_a_name_of_ours() -> None:
    families = list(text_string_to_metric_families(exposition().render("")[0].decode()))
    assert all(family.documentation for family in families)
    assert {family.name.split("_")[0] for family in families} <= {"anomaly", "nodescore", "process"}
    assert not [family.name for family in families if family.name.endswith("_created")]


def test_the_build_is_told() -> None:
    assert 'version="1.2.3"} 1.0' in lines(exposition(), "nodescore_build_info")[0]


def test_each_app_has_a_registry_of_its_own() -> None:
    one, other = exposition(), exposition()
    one.metrics.samples_kept.inc(5)
    assert lines(other, "nodescore_samples_kept_total") == ["nodescore_samples_kept_total 0.0"]
