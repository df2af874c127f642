"""Rows that leave the assembler: columns with an entry a row, their series summed by term.

Symbols in shapes: B rows, T terms of the catalogue.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from receiver.columns import Bool, Float64, Int32, Int64


class Sums(NamedTuple):
    """The series of B rows, summed by term."""

    total: Float64  # [B, T] of the values that are there
    rate: Float64  # [B, T] per second; NaN where one of them has none
    present: Int32  # [B, T] number of values that are there
    missing: Bool  # [B, T] an expected series has no value
    had: Bool  # [B, T] terms that the row's target has ever had


class Leaving(NamedTuple):
    """B rows that leave, or room for them."""

    node: Int32  # [B]
    time_ms: Int64  # [B]
    seq: Int64  # [B] newest journal record with samples of it
    fills: Bool  # [B] of rows that leave again: only for what the stored row lacks
    incomplete: Bool  # [B] an expected series is missing
    sums: Sums

    @classmethod
    def room(cls, rows: int, terms: int) -> Leaving:
        """Arrays to be filled."""
        shape = rows, terms
        return cls(
            node=np.empty(rows, np.int32),
            time_ms=np.empty(rows, np.int64),
            seq=np.empty(rows, np.int64),
            fills=np.empty(rows, np.bool_),
            incomplete=np.empty(rows, np.bool_),
            sums=Sums(
                total=np.empty(shape),
                rate=np.empty(shape),
                present=np.empty(shape, np.int32),
                missing=np.empty(shape, np.bool_),
                had=np.empty(shape, np.bool_),
            ),
        )

    def first(self, rows: int) -> Leaving:
        """The first rows: views."""
        node, time_ms, seq, fills, incomplete, sums = self
        total, rate, present, missing, had = sums
        return Leaving(
            node[:rows],
            time_ms[:rows],
            seq[:rows],
            fills[:rows],
            incomplete[:rows],
            Sums(total[:rows], rate[:rows], present[:rows], missing[:rows], had[:rows]),
        )


class GivenUp(NamedTuple):
    """How many rows that lack a sample are not held for it any longer."""

    for_age: int
    for_room: int


@dataclass(frozen=True, slots=True)
class Departure:
    """Rows that leave together."""

    rows: Leaving  # complete, or at their deadline
    again: Leaving  # left before and have changed since, or late; no rates
    more: bool  # there are more that can leave now
    given_up: GivenUp
