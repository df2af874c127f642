"""Stored rows and scores as columns, the vectors of scores brought into the order of the catalogue's features.

A stored vector has the order of the features that its model knew; the catalogue may have gained or lost some since.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from receiver.columns import Float32, Float64, Int32, Rows, Scores

Cell = TypeVar("Cell", bytes, list[float])


def numbers(table: Sequence[Sequence[Any]]) -> Float64:
    """A table of values as stored, NaN for NULL, and for what damage has made something else than a number."""
    try:
        return np.array(table, np.float64)
    except (ValueError, TypeError):
        known = [[value if isinstance(value, int | float) else np.nan for value in line] for line in table]
        return np.array(known, np.float64)


class Vectors(Generic[Cell]):
    """Turns records as a store gives them into columns, and their cells into float32[R, F].

    `features` are the catalogue's, `names_of` gives those of a model id, `pack` an array [R, W] of R cells, and
    `length` the length of a cell for W features.
    """

    def __init__(
        self,
        features: Sequence[str],
        names_of: Callable[[int], Sequence[str]],
        pack: Callable[[list[Cell], int], Float32],
        length: Callable[[int], int],
    ) -> None:
        self._features = tuple(features)
        self._names_of = names_of
        self._pack: Callable[[list[Cell], int], Float32] = pack
        self._length = length
        self._layouts: dict[int, tuple[int, Int32]] = {}

    def rows(self, found: Sequence[tuple[Any, ...]]) -> Rows:
        """One or more records of time_ms, node, model, x and the features' raw values."""
        time_ms, node, model, x, *raw = zip(*found, strict=True)
        return Rows(
            node=np.array(node, np.int32),
            time_ms=np.array(time_ms, np.int64),
            raw=numbers(raw).T.copy(),
            x=self.align(model, x),
        )

    def scores(self, found: Sequence[tuple[Any, ...]]) -> Scores:
        """One or more records of time_ms, node, model, score, x, contribution."""
        time_ms, node, model, score, x, contribution = zip(*found, strict=True)
        return Scores(
            node=np.array(node, np.int32),
            time_ms=np.array(time_ms, np.int64),
            score=numbers([score])[0].astype(np.float32),
            x=self.align(model, x),
            contribution=self.align(model, contribution),
        )

    def align(self, models: Sequence[int | None], cells: Sequence[Cell | None]) -> Float32:
        """NaN where there is no cell, where its model knew no such feature, and where damage changed its length."""
        aligned = np.full((len(cells), len(self._features)), np.nan, np.float32)
        rows_of: dict[int, list[int]] = {}
        for row, (model, cell) in enumerate(zip(models, cells, strict=True)):
            if model is not None and cell is not None and len(cell) == self._length(self._layout(model)[0]):
                rows_of.setdefault(model, []).append(row)
        for model, rows in rows_of.items():
            width, place = self._layout(model)
            packed = self._pack([cell for row in rows if (cell := cells[row]) is not None], width)
            (known,) = np.nonzero(place >= 0)
            aligned[np.array(rows)[:, None], known] = packed[:, place[known]]
        return aligned

    def _layout(self, model: int) -> tuple[int, Int32]:
        """The number of features that a model knew, and at which of them each of the catalogue's stands, or -1."""
        if model not in self._layouts:
            names = self._names_of(model)
            place_of = {name: place for place, name in enumerate(names)}
            places = np.array([place_of.get(name, -1) for name in self._features], np.int32)
            self._layouts[model] = len(names), places
        return self._layouts[model]
