"""How good scores are: ranking of rows, and what operators feel.

Everything is causal and nothing is adjusted: a true event that is found late stays found late. Alerts are those
of `models.alerts`. All times are seconds. Figures are of one node, or pooled over nodes where a rate or a share
needs it; ranking figures are the mean over nodes that have both kinds of rows.

*Event*: a true interval [s, e], a run of rows labelled as attack. It is *raised* where an alert is raised in
[s, e + RAISED_GRACE_SECONDS], *open* where an alert is open at some row in it. Delay is counted from s; an event
that is not raised counts with its length. *False alert*: one without a row in
[s − FALSE_BEFORE_SECONDS, e + FALSE_AFTER_SECONDS] of any event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from models import alerts
from models.threshold import MAX_GAP_SECONDS, SECONDS_PER_DAY, rate_bound
from receiver.columns import Bool, Float64, Int64

RAISED_GRACE_SECONDS = 60.0
FALSE_BEFORE_SECONDS = 30.0
FALSE_AFTER_SECONDS = 120.0
WITHIN_SECONDS = (30, 60, 300)
COLD_SECONDS = {"10min": 600.0, "1h": 3600.0, "1day": 86400.0}


@dataclass(frozen=True, slots=True)
class Labelled:
    """The scored rows of one node, in time order."""

    seconds: Float64  # [R]
    score: Float64  # [R] 1.0 is the threshold
    attack: Bool  # [R]


@dataclass(frozen=True, slots=True)
class Found:
    """What the alerts of one node are worth."""

    raised_after: Float64  # [E] seconds from an event's start to the first alert raised for it; inf where none
    open_after: Float64  # [E] … to the first row in it at which an alert is open; inf where none
    length: Float64  # [E] of the events
    true_alerts: int
    false_alerts: int  # merged
    false_seconds: float  # time in false alert
    normal_seconds: float  # time outside of events and their margins
    watched_seconds: float


def events(node: Labelled) -> tuple[Int64, Int64]:
    """First and last row of each run of attack rows."""
    edges = np.diff(np.concatenate([[0], node.attack.astype(np.int8), [0]]))
    return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1


def find(node: Labelled) -> Found:
    """Hold the alerts against the events."""
    first, last = events(node)
    start, end = node.seconds[first], node.seconds[last]
    raised = alerts.find(node.score)
    raised_at, open_to = node.seconds[raised.raised], node.seconds[raised.last]

    raised_after, open_after = reached(node.seconds, raised, start, end)
    is_false = np.array(
        [
            not ((lo <= end + FALSE_AFTER_SECONDS) & (hi >= start - FALSE_BEFORE_SECONDS)).any()
            for lo, hi in zip(raised_at, open_to, strict=True)
        ],
        bool,
    )
    false = alerts.Alerts(raised.raised[is_false], raised.last[is_false])
    step = np.minimum(np.diff(node.seconds, prepend=node.seconds[:1]), MAX_GAP_SECONDS)
    near = np.zeros(len(node.seconds), bool)
    for begins, ends in zip(start, end, strict=True):
        near |= (node.seconds >= begins - FALSE_BEFORE_SECONDS) & (node.seconds <= ends + FALSE_AFTER_SECONDS)
    return Found(
        raised_after=raised_after,
        open_after=open_after,
        length=end - start,
        true_alerts=int((~is_false).sum()),
        false_alerts=len(alerts.merged(false, node.seconds)),
        false_seconds=float((open_to - raised_at)[is_false].sum()),
        normal_seconds=float(step[~near].sum()),
        watched_seconds=float(step.sum()),
    )


def reached(seconds: Float64, found: alerts.Alerts, start: Float64, end: Float64) -> tuple[Float64, Float64]:
    """When alerts reach E true intervals: raised for each, and open in each, [E] seconds after its start, inf: never.

    `seconds` [R] are the rows' times, `start` and `end` [E] the intervals'.
    """
    raised_at, open_to = seconds[found.raised], seconds[found.last]
    raised_after, open_after = np.full(len(start), np.inf), np.full(len(start), np.inf)
    for event, (begins, ends) in enumerate(zip(start, end, strict=True)):
        inside = raised_at[(raised_at >= begins) & (raised_at <= ends + RAISED_GRACE_SECONDS)]
        if len(inside):
            raised_after[event] = inside[0] - begins
        touching = (raised_at <= ends) & (open_to >= begins)
        if touching.any():
            open_after[event] = max(raised_at[touching][0] - begins, 0.0)
    return raised_after, open_after


def operators(found: Sequence[Found]) -> dict[str, Any]:
    """What operators feel, over all nodes."""
    raised = np.concatenate([node.raised_after for node in found])
    opened = np.concatenate([node.open_after for node in found])
    length = np.concatenate([node.length for node in found])
    true = sum(node.true_alerts for node in found)
    rates = false_alerts(found)
    false, days = rates["false_alerts"], rates["normal_node_days"]
    return {
        **recalls(raised, opened, length),
        **rates,
        "time_in_false_alert": sum(node.false_seconds for node in found) / SECONDS_PER_DAY / days if days else None,
        "alert_precision": true / (true + false) if true + false else None,
    }


def recalls(raised: Float64, opened: Float64, length: Float64) -> dict[str, Any]:
    """Of E events, by when they were raised and open (inf: never) and how long they lasted [E]."""
    delay = np.where(np.isfinite(raised), raised, length)

    def share(after: Float64, within: float) -> float | None:
        return float((after <= within).mean()) if len(after) else None

    return {
        "events": len(raised),
        "event_recall_raised": share(raised, np.finfo(np.float64).max),
        "event_recall_open": share(opened, np.finfo(np.float64).max),
        **{f"event_recall_raised_{s}s": share(raised, s) for s in WITHIN_SECONDS},
        **{f"event_recall_open_{s}s": share(opened, s) for s in WITHIN_SECONDS},
        "delay_median_seconds": float(np.median(delay)) if len(delay) else None,
        "delay_p90_seconds": float(np.quantile(delay, 0.9)) if len(delay) else None,
    }


def false_alerts(found: Sequence[Found]) -> dict[str, Any]:
    """How many in how much normal time, and the rate with its upper 95 % bound."""
    days = sum(node.normal_seconds for node in found) / SECONDS_PER_DAY
    false = sum(node.false_alerts for node in found)
    return {
        "false_alerts": false,
        "normal_node_days": days,
        "false_alerts_per_node_day": false / days if days else None,
        "false_alerts_per_node_day_bound_95": rate_bound(false, days) if days else None,
    }


def calibration(found: Sequence[Found], asked_per_node_day: float) -> dict[str, Any]:
    """False alerts realised ÷ asked for: of all nodes together with the bound, of the median node, of the worst."""
    nodes = [
        node.false_alerts / (node.normal_seconds / SECONDS_PER_DAY) / asked_per_node_day
        for node in found
        if node.normal_seconds > 0
    ]
    together = false_alerts(found)
    if not nodes:
        return {}
    return {
        "asked_false_alerts_per_node_day": asked_per_node_day,
        "calibration": together["false_alerts_per_node_day"] / asked_per_node_day,
        "calibration_bound_95": together["false_alerts_per_node_day_bound_95"] / asked_per_node_day,
        "calibration_median": float(np.median(nodes)),
        "calibration_worst": float(max(nodes)),
    }


def cold_start(nodes: Sequence[Labelled]) -> dict[str, Any]:
    """False alerts in the first `COLD_SECONDS` after each node's first row."""
    figures: dict[str, Any] = {}
    for name, seconds in COLD_SECONDS.items():
        found = [find(part(node, node.seconds - node.seconds[0] <= seconds)) for node in nodes]
        figures |= {f"cold_{name}_{measure}": value for measure, value in false_alerts(found).items()}
    return figures


def part(node: Labelled, rows: Bool) -> Labelled:
    """Those rows [R] of a node."""
    return Labelled(node.seconds[rows], node.score[rows], node.attack[rows])


def settled(node: Labelled, rows: int) -> Labelled:
    """A node without the first `rows` rows after each change of its label: for measures of single rows only."""
    changes = np.flatnonzero(np.diff(node.attack.astype(np.int8))) + 1
    unsettled = np.zeros(len(node.attack) + rows, bool)
    for row in range(rows):
        unsettled[changes + row] = True
    return part(node, ~unsettled[: len(node.attack)])


def ranking(nodes: Sequence[Labelled]) -> dict[str, Any]:
    """AUC-PR beside a random detector's and a perfect one's, AUC-ROC, best F1 (an upper bound): means over nodes."""
    both = [node for node in nodes if node.attack.any() and not node.attack.all()]
    if not both:
        return {}
    figures = [
        (
            average_precision_score(node.attack, node.score),
            node.attack.mean(),
            roc_auc_score(node.attack, node.score),
            best_f1(node.attack, node.score),
            best_f1(node.attack, np.zeros(len(node.score))),
        )
        for node in both
    ]
    names = ("auc_pr", "auc_pr_random", "auc_roc", "best_f1", "best_f1_random")
    means = dict(zip(names, np.mean(figures, axis=0).tolist(), strict=True))
    return means | {"auc_pr_perfect": 1.0, "best_f1_perfect": 1.0, "ranked_nodes": len(both)}


def best_f1(attack: Bool, score: Float64) -> float:
    """The highest F1 of rows that any threshold gives; chosen on the labels, so an upper bound only."""
    precision, recall, _ = precision_recall_curve(attack, score)
    return float(np.max(2 * precision * recall / np.maximum(precision + recall, 1e-12)))


def at_threshold(nodes: Sequence[Labelled]) -> dict[str, Any]:
    """Rows called attacks (score > 1) against labels, pooled."""
    attack = np.concatenate([node.attack for node in nodes])
    called = np.concatenate([node.score for node in nodes]) > 1
    hits, wrong, missed = (called & attack).sum(), (called & ~attack).sum(), (~called & attack).sum()
    return {
        "rows": len(attack),
        "attack_rows": int(attack.sum()),
        "accuracy": float((called == attack).mean()),
        "accuracy_constant": float(max(attack.mean(), 1 - attack.mean())),
        "f1": float(2 * hits / (2 * hits + wrong + missed)) if hits + wrong + missed else None,
        "false_positive_rate": float(wrong / (~attack).sum()) if (~attack).any() else None,
    }
