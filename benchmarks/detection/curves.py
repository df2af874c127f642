"""Recall against false alerts: what another threshold would have given, from 0.1 to 10 false alerts a node-day.

The thresholds of all nodes are moved together, by one factor; scores stay as they are, though with another
threshold baselines would have stood still at other times. It is a look back: the factor is known only afterwards.
The point is what the threshold from training data gave.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models import alerts
from models.measures import Labelled, find, operators

RATES_A_DAY = (0.1, 10.0)
POINTS = 40
# Thresholds are looked for among the rows that raise most, down to this share of them.
LOWEST_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Point:
    """What one factor on all thresholds gives."""

    factor: float
    false_alerts_per_node_day: float
    recall_open: float
    recall_raised: float
    recall_raised_60s: float


def curve(nodes: Sequence[Labelled]) -> list[Point]:
    """Points of rising factor; none where there is no event or no normal time."""
    raising = np.sort(np.concatenate([alerts.over_of_last(node.score) for node in nodes]))[::-1]
    ranks = np.unique(np.geomspace(1, max(2, LOWEST_SHARE * len(raising)), POINTS).astype(int)) - 1
    factors = np.unique(raising[ranks])
    points = [point(nodes, factor) for factor in factors[factors > 0]]
    return [one for one in points if one is not None]


def point(nodes: Sequence[Labelled], factor: float) -> Point | None:
    """What the thresholds times `factor` give; None where nothing can be said."""
    found = operators([find(Labelled(node.seconds, node.score / factor, node.attack)) for node in nodes])
    if found["false_alerts_per_node_day"] is None or not found["events"]:
        return None
    return Point(
        factor=float(factor),
        false_alerts_per_node_day=found["false_alerts_per_node_day"],
        recall_open=found["event_recall_open"],
        recall_raised=found["event_recall_raised"],
        recall_raised_60s=found["event_recall_raised_60s"],
    )


def as_json(points: Sequence[Point]) -> list[dict[str, float]]:
    """Points as JSON."""
    return [asdict(one) for one in points]


def draw(curves: Mapping[str, Sequence[Mapping[str, float]]], at_one: Mapping[str, Any], title: str, out: Path) -> None:
    """A picture of the curves by detector, and of what the thresholds gave (`at_one`: rate and recall by detector).

    What has fewer false alerts than the axis shows stands at its left end.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), sharey=True, layout="constrained")
    for index, (detector, points) in enumerate(curves.items()):
        rate = [max(one["false_alerts_per_node_day"], RATES_A_DAY[0]) for one in points]
        for axes, measure in ((left, "recall_open"), (right, "recall_raised_60s")):
            line = axes.plot(rate, [one[measure] for one in points], label=detector, color=f"C{index}")
            asked = at_one.get(detector)
            if asked is not None:
                axes.plot(
                    max(asked["false_alerts_per_node_day"], RATES_A_DAY[0]),
                    asked[measure],
                    marker="o",
                    color=line[0].get_color(),
                )
    left.set_ylabel("share of events")
    left.set_title("open in the event")
    right.set_title("raised within 60 s")
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_xlim(*RATES_A_DAY)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("false alerts a node-day")
        axes.grid(visible=True, alpha=0.3)
    right.legend(fontsize="small")
    figure.suptitle(title)
    # Without the date that matplotlib writes, the same figures give the same file.
    figure.savefig(out, dpi=110, metadata={"Software": None})
    plt.close(figure)
