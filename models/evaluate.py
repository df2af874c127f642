"""What a model's scores are worth: the measures of `models.measures` and every alert, as a JSON-ready dict.

In: a labelled table and a model, or what `models.backtest` has watched. Rows that nobody labelled count as normal:
without labels, every alert is a false one. Cold start is part of it: every node begins with the model's initial
state, as a new node does in service.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models import alerts
from models import table as tables
from models.backtest import Watched
from models.measures import (
    FALSE_AFTER_SECONDS,
    FALSE_BEFORE_SECONDS,
    Found,
    Labelled,
    at_threshold,
    calibration,
    cold_start,
    events,
    find,
    operators,
    ranking,
)
from models.run import Progress, no_progress, run
from models.threshold import SECONDS_PER_DAY, rate_bound
from receiver.columns import Bool, Float64
from receiver.detector import Detector, ModelInfo
from receiver.web.instants import format_instant

# Features that an alert is told with, those that added most to its scores.
TOP = 3
# The recall that a node is told with.
SOON_SECONDS = 60


def evaluate(data: Path, model: Path, *, progress: Progress = no_progress) -> dict[str, Any]:
    """Score the table at `data` with the model at `model`, and hold the scores against its labels."""
    detector = Detector.load(model)
    return figures(watch(data, detector, progress), detector.info)


def watch(data: Path, detector: Detector, progress: Progress = no_progress) -> list[Watched]:
    """The nodes of the table at `data`, by name."""
    table = tables.read(data).select(detector.info.feature_names)
    result = run(detector, table, progress)
    attack = np.zeros(len(table), bool) if table.attack is None else table.attack
    order = np.lexsort((table.time_ms, table.node))
    watched = []
    for rows in np.split(order, np.flatnonzero(np.diff(table.node[order])) + 1):
        score = result.score[rows].astype(np.float64)
        over = np.flatnonzero(score > 1)
        watched.append(
            Watched(
                name=table.nodes[table.node[rows[0]]],
                time_ms=table.time_ms[rows],
                score=score,
                attack=attack[rows],
                normal=np.zeros(len(rows), bool),
                over=over,
                contribution=result.contribution[rows[over]],
            )
        )
    return sorted(watched, key=lambda node: node.name)


def figures(watched: Sequence[Watched], info: ModelInfo) -> dict[str, Any]:
    """All that is measured; at least one node."""
    nodes = [node.labelled() for node in watched]
    found = [find(node) for node in nodes]
    asked = info.provenance.get("threshold", {}).get("asked_per_node_day")
    of_nodes = [_alerts(node, info.feature_names) for node in watched]
    each = [alert for told in of_nodes for alert in told]
    days = sum(node.watched_seconds for node in found) / SECONDS_PER_DAY
    by_verdict = Counter(alert["verdict"] for alert in each)
    return {
        "model": info.version,
        "detector": info.detector,
        "from": format_instant(min(int(node.time_ms[0]) for node in watched)),
        "to": format_instant(max(int(node.time_ms[-1]) for node in watched)),
        "nodes": len(nodes),
        "node_days": days,
        "labelled": any(bool(node.attack.any() or node.normal.any()) for node in watched),
        "alerts": len(each),
        "alerts_per_node_day": len(each) / days if days else None,
        "alerts_per_node_day_bound_95": rate_bound(len(each), days) if days else None,
        "alerts_on_attacks": by_verdict["attack"],
        "alerts_on_labelled_normal": by_verdict["normal"],
        "alerts_without_label": by_verdict[None],
        **at_threshold(nodes),
        **ranking(nodes),
        **operators(found),
        **cold_start(nodes),
        **(calibration(found, asked) if asked else {}),
        **_perfect(nodes),
        "features_of_alerts": _features(each),
        "per_node": sorted(map(_of_node, watched, found, of_nodes), key=_worst_first),
        "each_alert": sorted(each, key=lambda alert: (alert["raised"], alert["cluster"], alert["node"])),
    }


def _alerts(node: Watched, names: Sequence[str]) -> list[dict[str, Any]]:
    """Every alert of a node: when, how high, by which features, and what labels say of it."""
    raised = alerts.find(node.score)
    near = _near_attacks(node.labelled())
    told = []
    for first, last in zip(raised.raised.tolist(), raised.last.tolist(), strict=True):
        rows = slice(first, last + 1)
        shares = node.contribution[np.searchsorted(node.over, first) : np.searchsorted(node.over, last + 1)]
        added: Float64 = np.nansum(shares, axis=0, dtype=np.float64)
        told.append(
            {
                "cluster": node.name.cluster,
                "node": node.name.node,
                "raised": format_instant(int(node.time_ms[first])),
                "last_over": format_instant(int(node.time_ms[last])),
                "highest_score": float(node.score[rows].max()),
                "features": [names[top] for top in np.argsort(-added, kind="stable")[:TOP] if added[top] > 0],
                "verdict": "attack" if near[rows].any() else "normal" if node.normal[rows].any() else None,
            }
        )
    return told


def _near_attacks(node: Labelled) -> Bool:
    """Rows [R] at which an open alert is no false one."""
    first, last = events(node)
    near = np.zeros(len(node.seconds), bool)
    for start, end in zip(node.seconds[first], node.seconds[last], strict=True):
        near |= (node.seconds >= start - FALSE_BEFORE_SECONDS) & (node.seconds <= end + FALSE_AFTER_SECONDS)
    return near


def _of_node(node: Watched, found: Found, told: list[dict[str, Any]]) -> dict[str, Any]:
    normal_days = found.normal_seconds / SECONDS_PER_DAY
    return {
        "cluster": node.name.cluster,
        "node": node.name.node,
        "rows": len(node.score),
        "node_days": found.watched_seconds / SECONDS_PER_DAY,
        "alerts": len(told),
        "false_alerts": found.false_alerts,
        "false_alerts_per_node_day_bound_95": rate_bound(found.false_alerts, normal_days) if normal_days else None,
        "events": len(found.length),
        f"events_raised_{SOON_SECONDS}s": int((found.raised_after <= SOON_SECONDS).sum()),
        "share_of_rows_over": len(node.over) / len(node.score),
        "highest_score": float(node.score.max()),
        "features_of_alerts": _features(told),
    }


def _features(told: list[dict[str, Any]]) -> dict[str, int]:
    """How many alerts each feature is a top one of, the most frequent first."""
    return dict(Counter(name for alert in told for name in alert["features"]).most_common())


def _worst_first(node: dict[str, Any]) -> tuple[int, int, float]:
    """By false alerts and missed attacks."""
    wrong = node["false_alerts"] + node["events"] - node[f"events_raised_{SOON_SECONDS}s"]
    return -wrong, -node["alerts"], -node["highest_score"]


def _perfect(nodes: list[Labelled]) -> dict[str, Any]:
    """What scores that are the labels would reach by the same rules: rows may be too far apart for 30 s."""
    found = operators([find(Labelled(node.seconds, np.where(node.attack, 2.0, 0.0), node.attack)) for node in nodes])
    return {f"perfect_{name}": value for name, value in found.items() if name.startswith("event_recall")}
