"""Stored rows and labels → the paper's tables, block by block.

Table 2 (Darwesh, Hammoud, Vorobeva 2023): the raw columns and `attack`. Table 3: the same with each column z-scored,
z = (v − mean) / standard deviation over the rows of the table, 0 for a column that does not vary. In: blocks of
`Rows` in (time, node) order. Out: blocks in the same order. Nothing is held but the block at hand and, when rows are
thinned out, one row a node.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from receiver.columns import Bool, Float32, Float64, Int32, Int64, NodeName, Rows
from receiver.store import Label


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean and standard deviation of each column, missing values left out."""

    mean: Float64  # [F]
    deviation: Float64  # [F] of the population; 0 where a column does not vary

    def zscored(self, raw: Float64) -> Float64:
        """The z-scores of raw [R, F]; missing stays missing."""
        varies = self.deviation > 0
        return np.where(varies, (raw - self.mean) / np.where(varies, self.deviation, 1.0), raw - raw)


def moments(blocks: Iterable[Rows], features: int) -> Moments:
    """Over all rows, by the pairwise update of Chan, Golub and LeVeque (1979): totals are large, their spread small."""
    count, mean, squares = np.zeros(features), np.zeros(features), np.zeros(features)
    for rows in blocks:
        present = ~np.isnan(rows.raw)
        here = present.sum(axis=0)
        some = np.maximum(here, 1)
        average = np.where(present, rows.raw, 0.0).sum(axis=0) / some
        spread = np.where(present, rows.raw - average, 0.0)
        total = np.maximum(count + here, 1)
        change = average - mean
        squares += (spread**2).sum(axis=0) + np.where(here > 0, change**2 * count * here / total, 0.0)
        mean += np.where(here > 0, change * here / total, 0.0)
        count += here
    return Moments(mean, np.sqrt(squares / np.maximum(count, 1)))


def thinned(blocks: Iterable[Rows], interval_ms: int) -> Iterator[Rows]:
    """The last row of each node in each interval of wall-clock time."""
    held: Rows | None = None
    for block in blocks:
        rows = block if held is None else _joined(held, block)
        if not len(rows):
            continue
        interval = rows.time_ms // interval_ms
        # The newest interval may go on in the next block.
        open_ = interval == interval[-1]
        held = _taken(rows, _last_of_each(interval, rows.node) & open_)
        done = _taken(rows, _last_of_each(interval, rows.node) & ~open_)
        if len(done):
            yield done
    if held is not None and len(held):
        yield held


def limited(blocks: Iterable[Rows], most: int) -> Iterator[Rows]:
    """The first `most` rows."""
    for block in blocks:
        yield _taken(block, np.arange(len(block)) < most)
        most -= len(block)
        if most <= 0:
            return


def attacks(rows: Rows, names: Mapping[int, NodeName], labels: Sequence[Label]) -> Int32:
    """1 for each row in an interval marked as an attack; of two labels the newer one holds."""
    attack = np.zeros(len(rows), np.int32)
    if not len(rows):
        return attack
    first, last = int(rows.time_ms[0]), int(rows.time_ms[-1])
    ids: dict[NodeName, list[int]] = {}
    for node, name in names.items():
        ids.setdefault(name, []).append(node)
    for label in sorted(labels, key=lambda label: (label.created_ms, label.id)):
        if label.end_ms >= first and label.start_ms <= last:
            inside = (rows.time_ms >= label.start_ms) & (rows.time_ms <= label.end_ms)
            attack[inside & np.isin(rows.node, ids.get(label.name, []))] = label.attack
    return attack


def decimal(x: Float32) -> Float64:
    """The shortest decimals that x stands for, as float64: 0.3 and not 0.30000001192092896."""
    return x.astype("U32").astype(np.float64)


def with_raw(rows: Rows, raw: Float64) -> Rows:
    """The same rows with other values."""
    return replace(rows, raw=raw)


def _last_of_each(interval: Int64, node: Int32) -> Bool:
    last = np.zeros(len(node), np.bool_)
    pairs = np.stack([interval, node.astype(np.int64)], axis=1)[::-1]
    last[len(node) - 1 - np.unique(pairs, axis=0, return_index=True)[1]] = True
    return last


def _taken(rows: Rows, chosen: Bool) -> Rows:
    return Rows(rows.node[chosen], rows.time_ms[chosen], rows.raw[chosen], rows.x[chosen])


def _joined(one: Rows, other: Rows) -> Rows:
    return Rows(
        np.concatenate([one.node, other.node]),
        np.concatenate([one.time_ms, other.time_ms]),
        np.concatenate([one.raw, other.raw]),
        np.concatenate([one.x, other.x]),
    )
