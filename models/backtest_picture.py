"""What `models.backtest` has watched → a picture: score over time of the worst nodes, and false alerts by node.

In: `Watched` nodes and their figures of `models.evaluate`. Out: a PNG file. Raises `DataError` where it cannot be
written. Times are UTC. A pixel shows the highest score of its time, so that no alert is too short to be seen; for
the same reason, what is shaded is at least a few pixels wide. The colours are Okabe and Ito's, which people who see
no red or green tell apart (Wong, "Points of view: Color blindness", Nature Methods 8, 2011), and what they mean is
told apart by its place as well: alerts are shaded over the threshold, labels under it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import dates
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from models import alerts
from models.backtest import Watched
from models.threshold import MAX_GAP_SECONDS
from receiver.columns import Bool, Float64, Int64, NodeName
from receiver.errors import DataError

MOST_NODES = 6  # whose scores are drawn
MOST_BARS = 20
POINTS = 1200  # of a line: about as many as it has pixels
LEAST_SHOWN = 1 / 400  # of the width: what is shaded is this wide at least
# Scores are drawn on a logarithmic axis that ends here: what is calmer is calm.
LOWEST_SCORE, HIGHEST_AT_LEAST = 0.01, 10.0
SCORE, ALERT, ATTACK, NORMAL, THRESHOLD = "#000000", "#D55E00", "#0072B2", "#009E73", "#555555"
MOST_TICKS = 5
LONGEST_NAME = 32  # beside a bar, in characters
SHADE = 0.4  # opacity
WIDTH_INCHES, PANEL_INCHES, BAR_INCHES, DOTS_PER_INCH = 12.0, 1.35, 0.26, 120


def draw(watched: Sequence[Watched], figures: Mapping[str, Any], out: Path) -> None:
    """The picture of at least one node."""
    of_name = {node.name: node for node in watched}
    ranked = [(NodeName(of["cluster"], of["node"]), of) for of in figures["per_node"]]
    worst = [of_name[name] for name, _ in ranked[:MOST_NODES]]
    bars = sorted(ranked, key=lambda one: -one[1]["false_alerts"])[:MOST_BARS]
    heights = [PANEL_INCHES] * len(worst) + [BAR_INCHES * len(bars) + 0.9]
    figure = Figure(figsize=(WIDTH_INCHES, sum(heights) + 1.3), layout="constrained")
    *panels, last = figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    start_ms = min(int(node.time_ms[0]) for node in watched)
    end_ms = max(int(node.time_ms[-1]) for node in watched)
    top = max(HIGHEST_AT_LEAST, 1.5 * max(float(node.score.max()) for node in worst))
    for panel, node in zip(panels, worst, strict=True):
        _scores(panel, node, start_ms, max(end_ms, start_ms + 1), top)
    for panel in panels[:-1]:
        panel.tick_params(labelbottom=False)
    panels[-1].set_xlabel("time, UTC")
    panels[0].legend(handles=_legend(), loc="lower right", bbox_to_anchor=(1, 1), ncols=5, fontsize=8, frameon=False)
    _bars(last, bars, figures)
    figure.suptitle(_title(figures, len(worst)), x=0.01, ha="left", fontsize=11)
    try:
        # Without the version that matplotlib writes, the same figures give the same file.
        figure.savefig(out, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    except OSError as error:
        raise DataError(f"{out}: cannot be written: {error.strerror or error}") from None


def _scores(axes: Axes, node: Watched, start_ms: int, end_ms: int, top: float) -> None:
    """One node's scores, its alerts over the threshold, its labels under it."""
    time_ms, score = envelope(node.time_ms, node.score, start_ms, end_ms)
    axes.set_yscale("log")
    axes.plot(_dates(time_ms), np.maximum(score, LOWEST_SCORE), color=SCORE, linewidth=0.8)
    axes.axhline(1, color=THRESHOLD, linewidth=1, linestyle="--")
    raised = alerts.find(node.score)
    at_least_ms = LEAST_SHOWN * (end_ms - start_ms)
    _shade(axes, node.time_ms[raised.raised], node.time_ms[raised.last], at_least_ms, (1, top), ALERT)
    for rows, colour in ((node.attack, ATTACK), (node.normal, NORMAL)):
        first, last = _runs(rows)
        _shade(axes, node.time_ms[first], node.time_ms[last], at_least_ms, (LOWEST_SCORE, 1), colour)
    axes.set_xlim(*_dates(np.array([start_ms, end_ms])))
    axes.set_ylim(LOWEST_SCORE, top)
    axes.set_ylabel("score")
    powers = np.arange(np.log10(LOWEST_SCORE), np.log10(top) + 1e-9)  # 10 is one of them where it is the top
    axes.set_yticks(10.0 ** (powers if len(powers) <= MOST_TICKS else powers[::2]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    locator = dates.AutoDateLocator(tz="UTC")  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, tz="UTC"))  # type: ignore[no-untyped-call]
    axes.set_title(_called(node.name), loc="left", fontsize=9, fontweight="bold", pad=3)
    axes.grid(visible=True, axis="x", alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def envelope(time_ms: Int64, score: Float64, start_ms: int, end_ms: int) -> tuple[Float64, Float64]:
    """The highest score of each of `POINTS` equal parts of the span that has rows; NaN between where rows lack."""
    part = np.minimum((time_ms - start_ms) * POINTS // (end_ms - start_ms), POINTS - 1)
    first = np.flatnonzero(np.diff(part, prepend=-1))
    highest, at = np.maximum.reduceat(score, first), time_ms[first].astype(np.float64)
    last = np.append(first[1:], len(part)) - 1
    gaps = np.flatnonzero(time_ms[first[1:]] - time_ms[last[:-1]] > 1000 * MAX_GAP_SECONDS) + 1
    return np.insert(at, gaps, at[gaps - 1]), np.insert(highest, gaps, np.nan)


def _shade(
    axes: Axes, first_ms: Int64, last_ms: Int64, at_least_ms: float, between: tuple[float, float], colour: str
) -> None:
    """Intervals as rectangles between two scores."""
    low, high = between
    width = np.maximum(last_ms - first_ms, at_least_ms)
    spans = list(zip(_dates(first_ms).tolist(), _dates(width).tolist(), strict=True))
    axes.broken_barh(spans, (low, high - low), facecolor=colour, alpha=SHADE, linewidth=0)


def _bars(axes: Axes, ranked: Sequence[tuple[NodeName, Mapping[str, Any]]], figures: Mapping[str, Any]) -> None:
    """False alerts of each node, beside what the threshold was asked for in the time watched."""
    place = np.arange(len(ranked))
    counts = [of["false_alerts"] for _, of in ranked]
    drawn = axes.barh(place, counts, color=ALERT, height=0.7)
    axes.bar_label(drawn, padding=3, fontsize=8)
    axes.set_yticks(place, [_called(name, LONGEST_NAME) for name, _ in ranked], fontsize=8)
    axes.set_ylim(len(ranked) - 0.4, -0.6)
    axes.set_xlim(0, 1.1 * max(1, *counts))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("false alerts")
    axes.spines[["top", "right"]].set_visible(False)
    more = len(figures["per_node"]) - len(ranked)
    left_out = f"; {more} more nodes with at most as many as the last" if more else ""
    axes.set_title(f"False alerts by node{left_out}", loc="left", fontsize=9, fontweight="bold", pad=3)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def _title(figures: Mapping[str, Any], drawn: int) -> str:
    since, until = (figures[end][:16].replace("T", " ") for end in ("from", "to"))
    lines = [f"{figures['model']} on {figures['nodes']} nodes, {since} to {until} UTC"]
    if figures["normal_node_days"]:
        rate, bound = (_short(figures[f"false_alerts_per_node_day{end}"]) for end in ("", "_bound_95"))
        asked = figures.get("asked_false_alerts_per_node_day")
        lines.append(
            f"{figures['false_alerts']} false alerts in {_short(figures['normal_node_days'])} node-days outside of "
            f"attacks: {rate} a node-day (≤ {bound})" + ("" if asked is None else f", {asked:g} asked for")
        )
    if figures["events"]:
        share = figures["event_recall_raised_60s"]
        lines.append(f"{figures['events']} labelled attacks, {share:.0%} of them raised within 60 s")
    if drawn < figures["nodes"]:
        lines.append(f"Scores of the {drawn} nodes with most false alerts and missed attacks")
    return "\n".join(lines)


def _legend() -> list[Patch | Line2D]:
    return [
        Line2D([], [], color=SCORE, linewidth=1, label="score"),
        Line2D([], [], color=THRESHOLD, linestyle="--", linewidth=1, label="threshold"),
        Patch(color=ALERT, alpha=SHADE, linewidth=0, label="alert open"),
        Patch(color=ATTACK, alpha=SHADE, linewidth=0, label="labelled attack"),
        Patch(color=NORMAL, alpha=SHADE, linewidth=0, label="labelled normal"),
    ]


def _runs(rows: Bool) -> tuple[Int64, Int64]:
    """First and last row of each run."""
    edges = np.diff(np.concatenate([[0], rows.astype(np.int8), [0]]))
    return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1


def _dates(time_ms: Int64 | Float64) -> Float64:
    """As matplotlib counts time: days since 1970."""
    return time_ms / 86_400_000


def _called(name: NodeName, longest: int = 200) -> str:
    text = f"{name.cluster}/{name.node}" if name.cluster else name.node or "all rows"
    text = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return text.replace("$", r"\$")  # it would begin a formula
