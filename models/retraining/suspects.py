"""Rows that nobody has spoken of and that look like marked attacks: what is usual must not be learnt from them.

In: rows of nodes, which of them are marked, and as what. Out: which of the others are suspect. A forest learns the
marked rows, by how far each feature lies from what its own node usually has, and judges the others; its votes are
averaged over some rows before and after, since all of it is past. Nothing of this is in any model: it only says what
models learn from. Costs a fit to the marked rows, some seconds at most.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter1d
from sklearn.ensemble import ExtraTreesClassifier

from models.table import Table
from receiver.columns import Bool, Float64

# A vote is that of so many rows.
AVERAGED_ROWS = 7
# Of the marked rows, at most: they are neighbours.
MOST_ROWS = 20_000
TREES, LEAF_ROWS = 100, 5
SEED = 0


def find(table: Table, marked: Bool, attack: Bool) -> Bool:
    """Of rows [R] by node and time, those that are not marked and look more like marked attacks than like the rest."""
    if not (attack & marked).any() or not (marked & ~attack).any():
        return np.zeros(len(table), bool)
    unusual = _unusual(table)
    rows = np.flatnonzero(marked)
    rows = np.random.default_rng(SEED).permutation(rows)[:MOST_ROWS]
    forest = ExtraTreesClassifier(
        TREES, min_samples_leaf=LEAF_ROWS, max_features=0.4, class_weight="balanced", random_state=SEED
    )
    likely = forest.fit(unusual[rows], attack[rows]).predict_proba(unusual)[:, -1]
    for node in range(len(table.nodes)):
        own = slice(*np.searchsorted(table.node, [node, node + 1]).tolist())
        likely[own] = uniform_filter1d(likely[own], AVERAGED_ROWS, mode="nearest")
    suspect: Bool = (likely > 0.5) & ~marked
    return suspect


def _unusual(table: Table) -> Float64:
    """How far each row's features are from the median of its node, in its own quartiles [R, F]; missing ones are 0."""
    unusual = np.zeros(table.x.shape)
    for node in range(len(table.nodes)):
        own = slice(*np.searchsorted(table.node, [node, node + 1]).tolist())
        x = table.x[own].astype(np.float64)
        x[:, np.isnan(x).all(axis=0)] = 0
        low, middle, high = np.nanquantile(x, [0.25, 0.5, 0.75], axis=0)
        spread = np.maximum(high - low, 1e-9 + 1e-3 * np.abs(middle))
        unusual[own] = np.arcsinh(np.nan_to_num((x - middle) / spread))
    return unusual
