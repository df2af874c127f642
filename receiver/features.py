"""Aggregated rows → `Rows`: what is stored, and what the detector sees.

A counter's model input is its rate per second, a gauge's its value; either divided by the number of series of
another feature where the catalogue says so (`per`: CPUs). Pure; raises nothing; costs a few µs a block.
"""

from __future__ import annotations

import numpy as np

from receiver.aggregate import Block
from receiver.catalogue import Catalogue
from receiver.columns import Rows


class Features:
    """The catalogue's rule for each column."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._none = Rows.empty(len(catalogue.features))
        self._counter = np.array([feature.counter for feature in catalogue.features], np.bool_)
        self._divided = np.array([feature.per is not None for feature in catalogue.features], np.bool_)
        self._per = np.array([feature.per or 0 for feature in catalogue.features], np.intp)

    def rows(self, block: Block) -> Rows:
        """Raw columns as they are, and the model input x."""
        if not len(block):
            return self._none
        value = np.where(self._counter, block.rate, block.raw)
        divisor = np.where(self._divided, block.series[:, self._per], 1.0)
        x = np.divide(value, divisor, out=np.full(value.shape, np.nan), where=divisor > 0)
        return Rows(block.node, block.time_ms, block.raw, x.astype(np.float32))
