"""The figures of `models.evaluate` as text that an operator reads.

In: the dict that `--json` prints. Out: lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# What a screen holds; --json has all.
MOST_NODES, MOST_ALERTS = 10, 20
# Features that a node or a line is told with.
TOP = 3


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Line by line; what could not be measured is not shown."""
    yield f"{found['model']} ({found['detector']})"
    yield f"{found['rows']} rows of {found['nodes']} nodes, {_number(found['node_days'])} node-days"
    yield f"from {found['from']} to {found['to']}"
    yield ""
    yield from _alerts(found)
    if found["events"]:
        yield from _attacks(found)
    yield ""
    yield from _nodes(found["per_node"])
    unexplained = [alert for alert in found["each_alert"] if alert["verdict"] != "attack"]
    if unexplained:
        yield ""
        yield from _unexplained(sorted(unexplained, key=lambda alert: -alert["highest_score"]))


def _alerts(found: Mapping[str, Any]) -> Iterator[str]:
    rate = _rate(found, "alerts_per_node_day")
    yield _line("alerts", f"{found['alerts']}; {rate}" if rate else str(found["alerts"]))
    yield _line("  on labelled attacks", str(found["alerts_on_attacks"]))
    yield _line("  on time labelled normal", str(found["alerts_on_labelled_normal"]))
    yield _line("  where no label says", str(found["alerts_without_label"]))
    if found["features_of_alerts"]:
        told = (f"{name} in {alerts}" for name, alerts in list(found["features_of_alerts"].items())[:5])
        yield _line("  their top features", ", ".join(told))
    if not found["normal_node_days"]:
        return
    yield _line(
        "false alerts",
        str(found["false_alerts"]),
        f"in {_number(found['normal_node_days'])} node-days outside of attacks, merged within 10 min: "
        + _rate(found, "false_alerts_per_node_day"),
    )
    yield _line(
        "  in a node's first 10 min, hour, day",
        ", ".join(str(found[f"cold_{part}_false_alerts"]) for part in ("10min", "1h", "1day")),
    )
    if "calibration" in found:
        yield _line(
            "  realised ÷ asked for",
            _number(found["calibration"]),
            f"(≤ {_number(found['calibration_bound_95'])}), {found['asked_false_alerts_per_node_day']:g} a node-day "
            f"asked for; median node {_number(found['calibration_median'])}, "
            f"worst {_number(found['calibration_worst'])}",
        )
    yield _line("  time in them", f"{found['time_in_false_alert']:.2%}")
    yield "  ≤: the upper 95 % bound; what no label calls an attack counts as normal"


def _attacks(found: Mapping[str, Any]) -> Iterator[str]:
    yield _line("labelled attacks", str(found["events"]))
    for way, text in (("raised", "raised in them"), ("open", "open in them")):
        within = ", ".join(f"within {s} s {found[f'event_recall_{way}_{s}s']:.3f}" for s in (30, 60, 300))
        yield _line(f"  alert {text}", f"{found[f'event_recall_{way}']:.3f}", f"({within})")
    yield _line(
        "  delay",
        f"{found['delay_median_seconds']:.0f} s",
        f"the median; nine in ten within {found['delay_p90_seconds']:.0f} s",
    )
    if found["alert_precision"] is not None:
        yield _line("  share of alerts on attacks", f"{found['alert_precision']:.3f}")
    if "auc_pr" in found:
        yield _line(
            "ranking of rows",
            f"auc pr {found['auc_pr']:.3f}",
            f"(random {found['auc_pr_random']:.3f}), auc roc {found['auc_roc']:.3f}, best f1 {found['best_f1']:.3f}",
        )
    yield _line("rows called right", f"{found['accuracy']:.3f}", f"(always the same: {found['accuracy_constant']:.3f})")


def _nodes(nodes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield from _aligned(
        ("node", "node-days", "alerts", "false", "attacks", "in 60 s", "time over 1", "highest", "features of alerts"),
        [
            (
                _name(node),
                _number(node["node_days"]),
                str(node["alerts"]),
                str(node["false_alerts"]),
                str(node["events"]),
                str(node["events_raised_60s"]),
                f"{node['share_of_rows_over']:.1%}",
                _number(node["highest_score"]),
                ", ".join(list(node["features_of_alerts"])[:TOP]),
            )
            for node in nodes[:MOST_NODES]
        ],
    )
    yield from _more(nodes, MOST_NODES, "nodes, with at most as many false alerts and missed attacks")


def _unexplained(alerts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield from _aligned(
        ("alert on no attack", "raised", "last over 1", "highest", "label", "features"),
        [
            (
                _name(alert),
                alert["raised"],
                alert["last_over"],
                _number(alert["highest_score"]),
                alert["verdict"] or "",
                ", ".join(alert["features"]),
            )
            for alert in alerts[:MOST_ALERTS]
        ],
    )
    yield from _more(alerts, MOST_ALERTS, "such alerts, of lower scores")


def _line(what: str, *figures: str) -> str:
    return f"{what:<38} {' '.join(figures)}"


def _rate(found: Mapping[str, Any], name: str) -> str:
    return (
        f"{_number(found[name])} a node-day (≤ {_number(found[f'{name}_bound_95'])})" if found[name] is not None else ""
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _name(of: Mapping[str, Any]) -> str:
    return f"{of['cluster']}/{of['node']}" if of["cluster"] else of["node"] or "all rows"


def _aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns as wide as they must be; text, which is in the first and the last, to the left."""
    width = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        cells = [cell.rjust(size) for cell, size in zip(row, width, strict=True)]
        yield "  ".join([row[0].ljust(width[0]), *cells[1:-1], row[-1]]).rstrip()


def _more(rows: Sequence[object], shown: int, what: str) -> Iterator[str]:
    if len(rows) > shown:
        yield f"and {len(rows) - shown} more {what}"
