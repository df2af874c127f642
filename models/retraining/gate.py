"""Whether a candidate may follow the active model: by paired differences with their intervals, and by floors.

In: `Measured`, a figure of both models for each unit (an attack, some hours of a node), and `Floor`s. Out: a `Verdict`
with every comparison and its reasons, as JSON for the registry. Nothing is raised; costs some ms a measure.

A measure *holds* where the candidate is worse by no more than its margin even at the bad end of the interval of
differences: one that is worse by more passes in one case of twenty at most. The interval is that of a bootstrap over
units, which are paired, so that what is hard for both says nothing (Efron and Tibshirani, "An Introduction to the
Bootstrap", 1993, chapter 13: percentiles). Margins are wide enough that a candidate that is as good is hardly ever
blocked. What they let slip, round after round, the floors stop, which never move: they come from the model that ships.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from receiver.columns import Float64

RESAMPLES = 2000
# Each end of the interval is passed by so many of the resamples.
TAIL = 0.05
# Memory of a block of resamples: 32 MB at 4,000 units.
RESAMPLED_TOGETHER = 1000
SEED = 0


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure of two models: the sum over units of what they did ÷ of how much there was."""

    measure: str  # a phrase
    candidate: Float64  # [U]
    active: Float64  # [U]
    size: Float64  # [U]
    margin: float  # by which the candidate may be worse
    more_is_better: bool


@dataclass(frozen=True, slots=True)
class Floor:
    """What the candidate must not fall below."""

    measure: str
    candidate: float
    active: float
    least: float


@dataclass(frozen=True, slots=True)
class Compared:
    """One line of the verdict; interval and margin are of candidate − active."""

    measure: str
    candidate: float
    active: float
    low: float | None
    high: float | None
    margin: float | None
    holds: bool
    reason: str  # a sentence; why it does not hold, where it does not

    def card(self) -> dict[str, Any]:
        """As JSON."""
        names = ("measure", "candidate", "active", "low", "high", "margin", "holds")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the candidate may be promoted, and why."""

    promote: bool
    compared: tuple[Compared, ...]
    reasons: tuple[str, ...]


def decide(measures: Sequence[Measured], floors: Sequence[Floor]) -> Verdict:
    """Hold a candidate against the active model."""
    compared = (*map(_compare, measures), *map(_against, floors))
    broken = tuple(line.reason for line in compared if not line.holds)
    return Verdict(not broken, compared, broken or ("it is not worse than the active model on any measure",))


def interval(difference: Float64, size: Float64) -> tuple[float, float]:
    """The 5 % and 95 % points of Σ difference ÷ Σ size [U] over units drawn anew."""
    random = np.random.default_rng(SEED)
    units = len(size)
    ratios: list[Float64] = []
    for _ in range(RESAMPLES // RESAMPLED_TOGETHER):
        often = random.multinomial(units, np.full(units, 1 / units), RESAMPLED_TOGETHER)
        sizes = often @ size
        ratios.append((often @ difference)[sizes > 0] / sizes[sizes > 0])
    low, high = np.quantile(np.concatenate(ratios), [TAIL, 1 - TAIL])
    return float(low), float(high)


def _compare(measured: Measured) -> Compared:
    total = float(measured.size.sum())
    candidate, active = float(measured.candidate.sum()) / total, float(measured.active.sum()) / total
    low, high = interval(measured.candidate - measured.active, measured.size)
    holds = bool(low >= -measured.margin if measured.more_is_better else high <= measured.margin)
    end, side = (low, "lower") if measured.more_is_better else (high, "higher")
    reason = (
        f"{measured.measure}: {candidate:.3g}, the active model has {active:.3g}; it may be {side} by "
        f"{abs(end):.3g} (95 %), and {measured.margin:.3g} is allowed"
    )
    return Compared(measured.measure, candidate, active, low, high, measured.margin, holds, reason)


def _against(floor: Floor) -> Compared:
    reason = f"{floor.measure}: {floor.candidate:.3g}, below its floor of {floor.least:.3g}"
    return Compared(
        f"{floor.measure}, floor {floor.least:.3g}",
        floor.candidate,
        floor.active,
        None,
        None,
        None,
        floor.candidate >= floor.least,
        reason,
    )
