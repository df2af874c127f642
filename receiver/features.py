"""Rows that leave → `Rows`: what is stored, and what the detector sees. Quotients, fallbacks, rates and shares.

In: sums of rows' series by term. Out: raw columns as they were scraped, and the model input x: of a counter its rate
per second, of a gauge its value; either divided by the number of series of another feature where the catalogue says
so (`per`: CPUs). Pure; raises nothing. Costs some 0.3 µs a row, compiled.

A feature that lacks one of its expected series is missing, never a partial sum. Rates are made per series and then
summed: a counter resets, and a device vanishes, one series at a time. A feature has no rate in a row where one of its
series has none, as in a device's first row.

Symbols in shapes: R rows, T terms and F features of the catalogue.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from receiver.catalogue import Catalogue
from receiver.columns import Bool, Float32, Float64, Rows
from receiver.compiled import compiled
from receiver.rows import Leaving, Sums

Index = NDArray[np.intp]


class Rules(NamedTuple):
    """The catalogue as arrays. Each feature has D sources at most, of which the first that a target has counts."""

    term: Index  # [D, F] -1: it has fewer
    over: Index  # [D, F] the term to divide by, or -1
    scale: Float64  # [D, F]
    counter: Bool  # [F]
    per: Index  # [F] the feature by whose number of series its x is divided, or -1
    metric: Index  # [T] equal for terms of one metric
    absent_is_zero: Bool  # [T]


class Features:
    """What a catalogue makes of sums."""

    def __init__(self, catalogue: Catalogue) -> None:
        features, terms = catalogue.features, catalogue.terms
        shape = max(len(feature.sources) for feature in features), len(features)
        metrics = [term.metric for term in terms]
        self._terms = len(terms)
        self._rules = Rules(
            term=np.full(shape, -1, np.intp),
            over=np.full(shape, -1, np.intp),
            scale=np.ones(shape),
            counter=np.array([feature.counter for feature in features], np.bool_),
            per=np.array([-1 if feature.per is None else feature.per for feature in features], np.intp),
            metric=np.array([metrics.index(metric) for metric in metrics], np.intp),
            absent_is_zero=np.array([term.absent_is_zero for term in terms], np.bool_),
        )
        for column, feature in enumerate(features):
            for place, source in enumerate(feature.sources):
                self._rules.term[place, column] = source.term
                self._rules.over[place, column] = -1 if source.over_term is None else source.over_term
                self._rules.scale[place, column] = source.scale
        # Compiled now, and not when the first row waits.
        self._none = self._made_of(Leaving.room(0, len(terms)))

    def rows(self, leaving: Leaving) -> Rows:
        """The features of R rows."""
        return self._made_of(leaving) if len(leaving.node) else self._none

    def _made_of(self, leaving: Leaving) -> Rows:
        shape = len(leaving.node), len(self._rules.counter)
        raw, x = np.empty(shape), np.empty(shape, np.float32)
        _choose(self._rules, leaving.sums, np.empty(self._terms), np.empty(shape[1]), np.empty(shape[1]), raw, x)
        return Rows(leaving.node, leaving.time_ms, raw, x)


@compiled
def _choose(rules: Rules, sums: Sums, total: Float64, rate: Float64, series: Float64, raw: Float64, x: Float32) -> None:
    """Fill raw and x [R, F]; `total` [T], `rate` and `series` [F] are room for one row's."""
    depth, features = rules.term.shape
    for r in range(len(raw)):
        for t in range(len(total)):
            there = sums.present[r, t] or (rules.absent_is_zero[t] and _zero(rules, sums, r, t))
            total[t] = sums.total[r, t] if there and not sums.missing[r, t] else np.nan
        for f in range(features):
            raw[r, f] = rate[f] = np.nan
            series[f] = 0.0
            for d in range(depth):
                t = rules.term[d, f]
                if t < 0:
                    break
                if sums.missing[r, t]:  # then so is what is divided by the number of series
                    series[f] = np.nan
                    break
                if total[t] == total[t]:
                    over = rules.over[d, f]
                    below = 1.0 if over < 0 else total[over]
                    if below != 0.0:
                        raw[r, f] = rules.scale[d, f] * (total[t] / below)
                    if sums.present[r, t]:
                        rate[f] = rules.scale[d, f] * sums.rate[r, t]
                    series[f] = sums.present[r, t]
                    break
        for f in range(features):
            per = rules.per[f]
            divisor = series[per] if per >= 0 else 1.0
            x[r, f] = (rate[f] if rules.counter[f] else raw[r, f]) / divisor if divisor > 0 else np.nan


@compiled
def _zero(rules: Rules, sums: Sums, r: int, term: int) -> bool:
    """Whether a row's target has had another series of the metric: then one that it leaves out is zero."""
    had = False
    for other in range(len(rules.metric)):
        had |= sums.had[r, other] and rules.metric[other] == rules.metric[term]
    return had
