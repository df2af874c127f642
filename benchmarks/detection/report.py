"""Figures → Markdown: a table for each thing that is asked of a set, with random and perfect beside the detectors.

In: the figures of `figures.figures` by detector. Out: lines. A column that no detector has a figure for is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.detection.compare import Difference

Figures = Mapping[str, Any]
Column = tuple[str, Callable[[Figures], str | None]]


def number(name: str, digits: int = 3) -> Callable[[Figures], str | None]:
    """A figure, or nothing."""
    return lambda figures: None if figures.get(name) is None else f"{figures[name]:.{digits}f}"


def with_worst(name: str) -> Callable[[Figures], str | None]:
    """The mean over nodes / the worst."""
    return lambda figures: (
        None if figures.get(name) is None else f"{figures[name]:.3f} / {figures[f'{name}_worst']:.3f}"
    )


def with_bound(prefix: str = "") -> Callable[[Figures], str | None]:
    """Alerts in so many days: the rate (≤ its bound)."""

    def cell(figures: Figures) -> str | None:
        rate = figures.get(f"{prefix}false_alerts_per_node_day")
        if rate is None:
            return None
        alerts, days = figures[f"{prefix}false_alerts"], figures[f"{prefix}normal_node_days"]
        return f"{alerts} in {days:.3g} d: {rate:.3g} (≤ {figures[f'{prefix}false_alerts_per_node_day_bound_95']:.3g})"

    return cell


RANKING: tuple[Column, ...] = (
    ("AUC-PR", number("auc_pr")),
    ("AUC-ROC", number("auc_roc")),
    ("best F1", number("best_f1")),
    ("VUS-PR", number("vus_pr")),
)
ROWS: tuple[Column, ...] = (
    ("accuracy, mean / worst", with_worst("accuracy")),
    ("… 6 rows after changes left out", with_worst("accuracy_settled")),
    ("F1, mean / worst", with_worst("f1")),
    ("false-positive rate, mean / worst", with_worst("false_positive_rate")),
    ("AUC-ROC", number("auc_roc")),
)
QUIET_ROWS: tuple[Column, ...] = (("false-positive rate, mean / worst", with_worst("false_positive_rate")),)
RECALL: tuple[Column, ...] = (
    ("events", number("events", 0)),
    ("open", number("event_recall_open")),
    ("… 60 s", number("event_recall_open_60s")),
    ("raised", number("event_recall_raised")),
    ("… 30 s", number("event_recall_raised_30s")),
    ("… 60 s", number("event_recall_raised_60s")),
    ("… 5 min", number("event_recall_raised_300s")),
    ("delay s, median", number("delay_median_seconds", 0)),
    ("p90", number("delay_p90_seconds", 0)),
)
FALSE: tuple[Column, ...] = (
    ("false alerts a node-day (95 % bound)", with_bound()),
    ("÷ asked for", number("calibration", 2)),
    ("median / worst node", lambda f: _pair(f, "calibration_median", "calibration_worst")),
    ("time in false alert", number("time_in_false_alert", 4)),
    ("alert precision", number("alert_precision")),
)
COLD: tuple[Column, ...] = (
    ("first 10 min", with_bound("cold_10min_")),
    ("first hour", with_bound("cold_1h_")),
    ("first day", with_bound("cold_1day_")),
)
KIND: tuple[Column, ...] = (
    ("events", number("events", 0)),
    ("raised", number("event_recall_raised")),
    ("… 60 s", number("event_recall_raised_60s")),
    ("open", number("event_recall_open")),
    ("delay s, median", number("delay_median_seconds", 0)),
    ("top 3 right", number("explained")),
)


def table(first: str, rows: Mapping[str, Figures], columns: Sequence[Column]) -> list[str]:
    """A Markdown table of one line a detector (or kind); nothing where no column has a figure."""
    cells = {name: [cell(figures) for _, cell in columns] for name, figures in rows.items()}
    used = [index for index in range(len(columns)) if any(line[index] is not None for line in cells.values())]
    if not used:
        return []
    lines = [f"| {first} | " + " | ".join(columns[index][0] for index in used) + " |"]
    lines.append("|" + " --- |" * (len(used) + 1))
    lines += [f"| {name} | " + " | ".join(line[index] or "–" for index in used) + " |" for name, line in cells.items()]
    return [*lines, ""]


def view(
    title: str, detectors: Mapping[str, Figures], differences: Mapping[str, Mapping[str, Difference]]
) -> list[str]:
    """All that is said of one view of a set."""
    objective = next(iter(detectors.values()))["objective"]
    labelled = any("auc_roc" in figures for figures in detectors.values())
    lines = [f"#### {title}", ""]
    if objective == "accuracy":
        lines += table("detector", detectors, ROWS if labelled else QUIET_ROWS)
    else:
        if labelled:
            lines += table("detector", detectors, RANKING) + table("detector", detectors, RECALL)
        lines += table("detector", detectors, FALSE) + table("cold start", detectors, COLD)
    for detector, figures in detectors.items():
        if "per_kind" in figures:
            kinds = {"all": figures["all_kinds"], **figures["per_kind"]}
            if "unseen_strengths" in figures:
                kinds["strengths not trained on"] = figures["unseen_strengths"]
            lines += table(f"{detector}: kind", kinds, KIND)
    return lines + _differences(differences)


def _differences(differences: Mapping[str, Mapping[str, Difference]]) -> list[str]:
    measures = list(dict.fromkeys(measure for found in differences.values() for measure in found))
    if not measures:
        return []
    lines = ["Differences, mean over nodes with its 95 % interval (paired bootstrap over nodes):", ""]
    lines += ["| | " + " | ".join(measures) + " |", "|" + " --- |" * (len(measures) + 1)]
    for pair, found in differences.items():
        cells = [
            f"{found[name].mean:+.3f} ({found[name].low:+.3f} … {found[name].high:+.3f})" if name in found else "–"
            for name in measures
        ]
        lines.append(f"| {pair} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _pair(figures: Figures, one: str, other: str) -> str | None:
    return None if figures.get(one) is None else f"{figures[one]:.2f} / {figures[other]:.2f}"
