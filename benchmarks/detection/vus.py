"""VUS-PR: the volume under the surface of precision and recall over widths of a buffer around events.

Paparrizos, Boniol, Palpanas, Tsay, Elmore, Franklin: "Volume Under the Surface: A New Accuracy Evaluation Measure for
Time-Series Anomaly Detection", VLDB 15 (11), 2022. For a buffer of w rows, a label is continuous: 1 in an event,
√(1 − d / w) at d ≤ w / 2 rows from one, 0 elsewhere; where two buffers meet they add up to 1 at most. Of the rows
over a threshold, precision is their mean label. Recall is their sum of labels ÷ the mean of the sum of the labels with
the buffer and without it, at most 1; times the share of events, with their buffers, that hold a row over the
threshold. The area under precision over recall is taken step by step, over all thresholds there are; the volume is
its mean over w = 0 … `WINDOW_ROWS`.

In: labels and scores of one node, in time order. Out: a number in [0, 1]. Costs a sort and a pass for each width.
Figures are for comparison among our own runs: other implementations take fewer thresholds.
"""

from __future__ import annotations

import numpy as np

from receiver.columns import Bool, Float64

WINDOW_ROWS = 20


def vus_pr(attack: Bool, score: Float64, window_rows: int = WINDOW_ROWS) -> float:
    """Of rows [R], some of which are attacks."""
    return float(np.mean([range_pr(attack, score, width) for width in range(window_rows + 1)]))


def range_pr(attack: Bool, score: Float64, width: int) -> float:
    """The area under precision over recall with one buffer of `width` rows."""
    edges = np.diff(np.concatenate([[0], attack.astype(np.int8), [0]]))
    first, last = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
    label = buffered(attack, width)
    order = np.argsort(-score, kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    over = np.arange(1, len(order) + 1)
    hits = np.cumsum(label[order])
    positives = (attack.sum() + label.sum()) / 2
    reach = width // 2
    reached_at = np.sort(
        [place[max(0, begin - reach) : end + reach + 1].min() for begin, end in zip(first, last, strict=True)]
    )
    existence = np.searchsorted(reached_at, np.arange(len(order)), side="right") / len(first)
    recall = np.minimum(hits / positives, 1) * existence
    # Rows of one score pass a threshold together.
    thresholds = np.flatnonzero(np.diff(score[order], append=-np.inf))
    recall, precision = recall[thresholds], (hits / over)[thresholds]
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def buffered(attack: Bool, width: int) -> Float64:
    """The continuous label [R] for one buffer."""
    label = attack.astype(np.float64)
    edges = np.diff(np.concatenate([[0], attack.astype(np.int8), [0]]))
    first, last = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
    for distance in range(1, width // 2 + 1):
        worth = np.sqrt(1 - distance / width)
        before, after = first - distance, last + distance
        label[before[before >= 0]] += worth
        label[after[after < len(label)]] += worth
    return np.minimum(label, 1.0)
