"""Is one detector better than another? The paired difference over nodes, with an interval.

Nodes are the unit: rows and events of a node depend on each other, nodes hardly do. Nodes are drawn with replacement
`DRAWS` times and the mean difference is taken each time; the interval holds its middle 95 % (percentile bootstrap;
Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13). With few nodes it is too narrow:
of three nodes it says little more than the three differences themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.train import Objective
from receiver.columns import Float64

DRAWS = 10_000
# What is compared is what the threshold is for: an accuracy threshold says nothing of alerts, a budget nothing of rows.
MEASURES: Mapping[Objective, tuple[str, ...]] = {
    "accuracy": ("accuracy", "accuracy_settled", "false_positive_rate", "auc_roc"),
    "budget": ("auc_pr", "auc_roc", "best_f1", "vus_pr", "event_recall_open"),
}


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean over nodes, and the interval that holds 95 % of its bootstrap."""

    mean: float
    low: float
    high: float
    nodes: int


def paired(one: Float64, other: Float64, seed: int) -> Difference:
    """The mean of one − other over nodes [N]."""
    difference = one - other
    drawn = np.random.default_rng(seed).integers(len(difference), size=(DRAWS, len(difference)))
    low, high = np.quantile(difference[drawn].mean(axis=1), [0.025, 0.975])
    return Difference(float(difference.mean()), float(low), float(high), len(difference))


def against(
    reference: Mapping[str, Mapping[str, Any]], other: Mapping[str, Mapping[str, Any]], objective: Objective, seed: int
) -> dict[str, Difference]:
    """Of two `per_node` figures, the differences other − reference of the objective's `MEASURES` that both have."""
    found = {}
    for measure in MEASURES[objective]:
        pairs = [
            (other[node][measure], figure[measure])
            for node, figure in reference.items()
            if figure.get(measure) is not None and other.get(node, {}).get(measure) is not None
        ]
        if len(pairs) > 1:
            values = np.array(pairs, np.float64)
            found[measure] = paired(values[:, 0], values[:, 1], seed)
    return found
