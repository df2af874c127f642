"""Series of a row → its features: sums over terms, then quotients and fallbacks, as the catalogue has them.

In: flat arrays with one entry for each series of each row. Out: a `Block` of R rows. Pure; raises nothing. Costs some
0.1 µs an entry and 0.3 ms a call, so rows are given many at a time.

A feature that lacks one of its expected series is missing, never a partial sum. Rates are made per series and then
summed: a counter resets, and a device vanishes, one series at a time. The rise of a counter that fell is its new
value. A feature has no rate in a row where one of its series has none, as in a device's first row.

Symbols in shapes: E entries, R rows, T terms and F features of the catalogue.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from receiver.catalogue import Catalogue
from receiver.columns import Bool, Float64, Int32, Int64

Index = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Entries:
    """The series of R rows, flat."""

    row: Index  # [E]
    term: Int32  # [E]
    value: Float64  # [E] read where present
    present: Bool  # [E] has a value
    missing: Bool  # [E] is expected and has none
    rate: Float64  # [E] per second; NaN where there is none


@dataclass(frozen=True, slots=True)
class Block:
    """R rows of features, before they become a detector's input."""

    node: Int32  # [R]
    time_ms: Int64  # [R]
    raw: Float64  # [R, F]
    rate: Float64  # [R, F] per second; counters only
    series: Float64  # [R, F] number of series behind each feature; NaN where one of them is missing

    def __len__(self) -> int:
        return len(self.node)

    def where(self, chosen: Bool) -> Block:
        """Some of the rows."""
        return Block(self.node[chosen], self.time_ms[chosen], self.raw[chosen], self.rate[chosen], self.series[chosen])


class Aggregator:
    """The catalogue as index arrays."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.terms = len(catalogue.terms)
        depth = max(len(feature.sources) for feature in catalogue.features)
        width = len(catalogue.features)
        # [depth, F]: the n-th choice of each feature; where it has fewer, none is ever applicable.
        self._term = np.zeros((depth, width), np.intp)
        self._over = np.full((depth, width), -1, np.intp)
        self._scale = np.ones((depth, width))
        self._exists = np.zeros((depth, width), np.bool_)
        for column, feature in enumerate(catalogue.features):
            for place, source in enumerate(feature.sources):
                self._term[place, column] = source.term
                self._over[place, column] = -1 if source.over_term is None else source.over_term
                self._scale[place, column] = source.scale
                self._exists[place, column] = True
        self._absent_is_zero = np.array([term.absent_is_zero for term in catalogue.terms], np.bool_)
        metrics = np.array([term.metric for term in catalogue.terms])
        self._same_metric = metrics[:, None] == metrics[None, :]

    def features(self, node: Int32, time_ms: Int64, entries: Entries, seen: Bool) -> Block:
        """Aggregate; `seen` bool[R, T]: terms that the row's target has ever had."""
        rows = len(node)
        cell = entries.row * self.terms + entries.term
        present, rated = entries.present, entries.present & ~np.isnan(entries.rate)
        total = self._sum(rows, cell[present], entries.value[present])
        count = self._sum(rows, cell[present], None)
        missing = self._sum(rows, cell[entries.missing], None) > 0
        rate = self._sum(rows, cell[rated], entries.rate[rated])
        unrated = missing | (self._sum(rows, cell[present & ~rated], None) > 0) | (count == 0)

        zero = (count == 0) & ~missing & self._absent_is_zero & ((seen @ self._same_metric) > 0)
        applicable = (count > 0) | missing | zero
        total[missing | ~applicable] = np.nan
        rate[unrated] = np.nan
        # What divides by the number of series is missing too where one of them is.
        return Block(node, time_ms, *self._choose(total, rate, np.where(missing, np.nan, count), applicable))

    def joined(self, blocks: list[Block]) -> Block:
        """Blocks in a row."""
        none = np.empty((0, self._term.shape[1]))
        return Block(
            np.concatenate([np.empty(0, np.int32), *(block.node for block in blocks)]),
            np.concatenate([np.empty(0, np.int64), *(block.time_ms for block in blocks)]),
            np.concatenate([none, *(block.raw for block in blocks)]),
            np.concatenate([none, *(block.rate for block in blocks)]),
            np.concatenate([none, *(block.series for block in blocks)]),
        )

    def _sum(self, rows: int, cell: Index, weight: Float64 | None) -> Float64:
        return np.bincount(cell, weight, rows * self.terms).reshape(rows, self.terms).astype(np.float64)

    def _choose(
        self, total: Float64, rate: Float64, count: Float64, applicable: Bool
    ) -> tuple[Float64, Float64, Float64]:
        """Of each feature the first source that the target has."""
        shape = (len(total), self._term.shape[1])
        raw, chosen_rate, series = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape)
        open_columns = np.ones(shape, np.bool_)
        for term, over, scale, exists in zip(self._term, self._over, self._scale, self._exists, strict=True):
            take = open_columns & exists & applicable[:, term]
            below = np.where(over >= 0, total[:, over], 1.0)
            value = scale * np.divide(total[:, term], below, out=np.full(shape, np.nan), where=below != 0)
            np.copyto(raw, value, where=take)
            np.copyto(chosen_rate, scale * rate[:, term], where=take)
            np.copyto(series, count[:, term], where=take)
            open_columns &= ~take
        return raw, chosen_rate, series
