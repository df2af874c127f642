"""Table and model → the measures of `models.measures`, as a JSON-ready dict.

Rows without a label (no column `attack`) count as normal: then only false alerts are measured. Cold start is
part of it: every node begins with the model's initial state, as a new node does in service.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from models import table as tables
from models.measures import Found, Labelled, at_threshold, find, operators, ranking
from models.run import Progress, no_progress, run
from receiver.detector import Detector


def evaluate(data: Path, model: Path, *, progress: Progress = no_progress) -> dict[str, Any]:
    """Score the table at `data` with the model at `model`, and hold the scores against its labels."""
    table = tables.read(data)
    detector = Detector.load(model)
    table = table.select(detector.info.feature_names)
    score = run(detector, table, progress).score.astype(np.float64)
    attack = np.zeros(len(table), bool) if table.attack is None else table.attack
    order = np.lexsort((table.time_ms, table.node))
    cuts = np.flatnonzero(np.diff(table.node[order])) + 1
    nodes = [Labelled(table.time_ms[rows] / 1000, score[rows], attack[rows]) for rows in np.split(order, cuts)]
    found = [find(node) for node in nodes]
    asked = detector.info.provenance.get("threshold", {}).get("asked_per_node_day")
    return {
        "model": detector.info.version,
        "nodes": len(nodes),
        "labelled": table.attack is not None,
        **at_threshold(nodes),
        **ranking(nodes),
        **operators(found),
        **_calibration(found, asked),
        **_perfect(nodes),
    }


def _perfect(nodes: list[Labelled]) -> dict[str, Any]:
    """What scores that are the labels would reach by the same rules: rows may be too far apart for 30 s."""
    figures = operators([find(Labelled(node.seconds, np.where(node.attack, 2.0, 0.0), node.attack)) for node in nodes])
    return {f"perfect_{name}": value for name, value in figures.items() if name.startswith("event_recall")}


def _calibration(found: list[Found], asked: float | None) -> dict[str, Any]:
    """False alerts realised ÷ asked for; the worst is the node with most."""
    if not asked:
        return {}
    rates = [node.false_alerts / (node.normal_seconds / 86400) / asked for node in found if node.normal_seconds > 0]
    if not rates:
        return {}
    return {
        "asked_false_alerts_per_node_day": asked,
        "calibration_median": float(np.median(rates)),
        "calibration_worst": float(max(rates)),
    }
