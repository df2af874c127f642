"""Rows and scores as the parameters of the embedded store's statements, a tuple a row.

In: columns. Out: tuples of plain Python values, which is what sqlite3 takes; 1 µs a row.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from receiver.columns import Float32, Rows, Scores


def row_columns(rows: Rows, first_change: int) -> list[tuple[Any, ...]]:
    """Tuples for the upserts; SQLite stores a NaN as NULL by itself."""
    changes = range(first_change, first_change + len(rows))
    return list(zip(changes, rows.time_ms.tolist(), rows.node.tolist(), *rows.raw.T.tolist(), strict=True))


def score_columns(scores: Scores, first_change: int, model: int) -> list[tuple[Any, ...]]:
    """Tuples for the insert; vectors as little-endian blobs, and none where no contribution was computed."""
    contributions: list[bytes | None] = [*_packed(scores.contribution)]
    missing = np.isnan(scores.contribution)
    if missing.any():
        none_computed = np.logical_and.reduce(missing, axis=1).tolist()
        contributions = [None if none else blob for none, blob in zip(none_computed, contributions, strict=True)]
    columns = zip(
        range(first_change, first_change + len(scores)),
        scores.time_ms.tolist(),
        scores.node.tolist(),
        [model] * len(scores),
        scores.score.tolist(),
        _packed(scores.x),
        contributions,
        strict=True,
    )
    return list(columns)


def _packed(vectors: Float32) -> list[bytes]:
    """One little-endian blob a row."""
    whole = np.ascontiguousarray(vectors, "<f4")
    blobs: list[bytes] = whole.view(f"V{4 * vectors.shape[1]}").ravel().tolist()
    return blobs


def newest(rows: Rows) -> Iterator[tuple[int, int]]:
    """(time, node) of each node's newest row."""
    order = np.lexsort((rows.time_ms, rows.node))
    node, time_ms = rows.node[order], rows.time_ms[order]
    newest = np.append(node[1:] != node[:-1], True)[: len(node)]
    return zip(time_ms[newest].tolist(), node[newest].tolist(), strict=True)
