"""Scores → every measure of `detection.md`, of one view of a set under one detector, as a JSON-ready dict.

In: `Judged`, one for each node of each case. Out: figures of all nodes together, `per_node` and `per_kind`. Rates and
recalls are pooled; ranking figures and those of single rows are means over nodes, with the worst node beside them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.detection.cases import Case, Episode, Stream
from benchmarks.detection.scoring import Scored
from benchmarks.detection.splits import FALSE_ALERTS_PER_NODE_DAY, SETTLING_ROWS
from benchmarks.detection.vus import vus_pr
from models import alerts
from models.measures import (
    Labelled,
    at_threshold,
    calibration,
    cold_start,
    find,
    operators,
    ranking,
    reached,
    recalls,
    settled,
)
from models.scenarios.attacks import KINDS
from receiver.columns import Bool, Float64, Int64


@dataclass(frozen=True, slots=True)
class Judged:
    """What counts of one node: its rows in time order, and its attacks by kind where the set names them."""

    name: str
    rows: Labelled
    top: Int64 | None  # [R, TOP] indices into features
    features: tuple[str, ...]
    episodes: tuple[Episode, ...]
    from_start: bool  # the model had not seen the node before


def judged(case: Case, scores: Scored) -> dict[str, list[Judged]]:
    """The nodes of a case, by view."""
    found: dict[str, list[Judged]] = {}
    for stream in case.streams:
        for view, rows in stream.views.items():
            found.setdefault(view, []).extend(_nodes(case, stream, rows, scores))
    return found


def _nodes(case: Case, stream: Stream, view: Bool, scores: Scored) -> Iterator[Judged]:
    table, score, top = stream.table, scores.score[stream.name], scores.top.get(stream.name)
    attack = np.zeros(len(table), bool) if table.attack is None else table.attack
    for index, name in enumerate(table.nodes):
        all_rows = np.flatnonzero(table.node == index)
        all_rows = all_rows[np.argsort(table.time_ms[all_rows], kind="stable")]
        rows = all_rows[view[all_rows]]
        if not len(rows):
            continue
        time_ms = table.time_ms[rows]
        yield Judged(
            name=f"{case.name} {name.node}" if len(table.nodes) > 1 else case.name,
            rows=Labelled(time_ms / 1000, score[rows].astype(np.float64), attack[rows]),
            top=None if top is None else top[rows],
            features=table.features,
            episodes=tuple(
                episode
                for episode in stream.episodes
                if episode.node == index and episode.start_ms >= time_ms[0] and episode.start_ms <= time_ms[-1]
            ),
            from_start=bool(rows[0] == all_rows[0]) and stream.past is None,
        )


def figures(nodes: Sequence[Judged], objective: str) -> dict[str, Any]:
    """All of them."""
    rows = [node.rows for node in nodes]
    found = [find(one) for one in rows]
    per_node = {node.name: _of_node(node.rows) for node in nodes}
    together = {
        "objective": objective,
        "nodes": len(nodes),
        **_spread(per_node),
        "pooled_rows": at_threshold(rows),
        **ranking(rows),
        **operators(found),
        **(calibration(found, FALSE_ALERTS_PER_NODE_DAY) if objective == "budget" else {}),
        **(cold_start(rows) if all(node.from_start for node in nodes) else {}),
    }
    vus = [figure["vus_pr"] for figure in per_node.values() if "vus_pr" in figure]
    if vus:
        together["vus_pr"] = float(np.mean(vus))
    return together | _of_episodes(nodes) | {"per_node": per_node}


def _of_node(rows: Labelled) -> dict[str, Any]:
    """What differences between detectors are taken of."""
    node = at_threshold([rows])
    by_events = operators([find(rows)])
    figure = {name: node[name] for name in ("accuracy", "f1", "false_positive_rate")}
    figure["accuracy_settled"] = at_threshold([settled(rows, SETTLING_ROWS)])["accuracy"]
    for name in ("event_recall_open", "event_recall_raised", "event_recall_raised_60s", "false_alerts_per_node_day"):
        figure[name] = by_events[name]
    ranks = ranking([rows])
    if ranks:
        figure |= {name: ranks[name] for name in ("auc_pr", "auc_roc", "best_f1")}
        figure["vus_pr"] = vus_pr(rows.attack, rows.score)
    return figure


def _spread(per_node: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Row measures: the mean over nodes and the worst."""
    spread: dict[str, Any] = {}
    for name, worst in (("accuracy", min), ("accuracy_settled", min), ("f1", min), ("false_positive_rate", max)):
        values = [figure[name] for figure in per_node.values() if figure[name] is not None]
        if values:
            spread |= {name: float(np.mean(values)), f"{name}_worst": float(worst(values))}
    return spread


def _of_episodes(nodes: Sequence[Judged]) -> dict[str, Any]:
    """Recalls by kind, and of attacks of a strength that training never saw; top contributions that are right."""
    reaches = [reach for node in nodes for reach in _reaches(node)]
    if not reaches:
        return {}
    kinds = sorted({reach.episode.kind for reach in reaches})
    by_kind = {kind: _recalls([reach for reach in reaches if reach.episode.kind == kind]) for kind in kinds}
    unseen = [reach for reach in reaches if reach.episode.unseen]
    return {
        "all_kinds": _recalls(reaches),
        "per_kind": by_kind,
        **({"unseen_strengths": _recalls(unseen)} if unseen else {}),
    }


@dataclass(frozen=True, slots=True)
class _Reach:
    """An episode, and what was said of it."""

    episode: Episode
    raised_after: float
    open_after: float
    explained: bool | None  # None where nothing is known of the kind, or the detector gives no contributions


def _reaches(node: Judged) -> Iterator[_Reach]:
    start = np.array([episode.start_ms / 1000 for episode in node.episodes])
    end = np.array([episode.end_ms / 1000 for episode in node.episodes])
    raised, opened = reached(node.rows.seconds, alerts.find(node.rows.score), start, end)
    for index, episode in enumerate(node.episodes):
        explained = None
        if node.top is not None and episode.kind in KINDS:
            row = _telling_row(node.rows, start[index], end[index], raised[index])
            explained = any(
                node.features[feature] in KINDS[episode.kind].moves for feature in node.top[row] if feature >= 0
            )
        yield _Reach(episode, float(raised[index]), float(opened[index]), explained)


def _telling_row(rows: Labelled, start: float, end: float, raised_after: float) -> int:
    """The row an operator would look at: that which raised the alert, else the highest score of the attack."""
    if np.isfinite(raised_after):
        return int(np.searchsorted(rows.seconds, start + raised_after - 1e-6))
    inside: Float64 = np.where((rows.seconds >= start) & (rows.seconds <= end), rows.score, -1.0)
    return int(np.argmax(inside))


def _recalls(reaches: Sequence[_Reach]) -> dict[str, Any]:
    length = np.array([(reach.episode.end_ms - reach.episode.start_ms) / 1000 for reach in reaches])
    raised = np.array([reach.raised_after for reach in reaches])
    opened = np.array([reach.open_after for reach in reaches])
    told = [reach.explained for reach in reaches if reach.explained is not None]
    right = {"explained": float(np.mean(told)), "explained_of": len(told)} if told else {}
    return recalls(raised, opened, length) | right
