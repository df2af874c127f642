"""What the gate lets pass, and what not."""

from __future__ import annotations

import json

import numpy as np
import pytest

from models.retraining import gate
from models.retraining.gate import Floor, Measured
from receiver.columns import Float64


def recall(candidate: Float64, active: Float64, margin: float = 0.1) -> Measured:
    return Measured("attacks raised", candidate, active, np.ones(len(active)), margin, more_is_better=True)


def hits(share: float, of: int = 100) -> Float64:
    return (np.arange(of) < round(share * of)).astype(float)


def test_a_candidate_that_does_the_same_passes() -> None:
    verdict = gate.decide([recall(hits(0.6), hits(0.6))], [])
    assert verdict.promote
    assert verdict.reasons == ("it is not worse than the active model on any measure",)
    assert (verdict.compared[0].low, verdict.compared[0].high) == (0, 0)


def test_a_candidate_that_misses_what_the_active_model_finds_is_refused_with_the_figures() -> None:
    verdict = gate.decide([recall(hits(0.4), hits(0.7))], [])
    assert not verdict.promote
    (reason,) = verdict.reasons
    assert reason.startswith("attacks raised: 0.4, the active model has 0.7; it may be lower by 0.3")
    assert reason.endswith("and 0.1 is allowed")


def test_a_candidate_with_more_false_alerts_is_refused() -> None:
    days = np.full(50, 0.25)
    more = Measured("false alerts a node-day", hits(0.3, 50), hits(0.1, 50), days, 0.2, more_is_better=False)
    assert not gate.decide([more], []).promote


def test_a_candidate_below_a_floor_is_refused_whatever_the_active_model_does() -> None:
    verdict = gate.decide([recall(hits(0.6), hits(0.6))], [Floor("port-scan raised", 0.2, 0.2, least=0.45)])
    assert verdict.reasons == ("port-scan raised: 0.2, below its floor of 0.45",)


def test_every_line_of_the_verdict_is_json() -> None:
    verdict = gate.decide([recall(hits(0.4), hits(0.7))], [Floor("port-scan raised", 0.5, 0.2, least=0.45)])
    cards = json.loads(json.dumps([line.card() for line in verdict.compared]))
    assert [(card["measure"], card["holds"]) for card in cards] == [
        ("attacks raised", False),
        ("port-scan raised, floor 0.45", True),
    ]


def test_hardly_any_candidate_that_is_as_good_is_blocked_by_chance() -> None:
    # Both find 65 % of a hundred attacks, and each of them six that the other misses, by chance.
    random = np.random.default_rng(1)
    assert passed(random, differ_by=0.0) > 0.8


def test_hardly_any_candidate_that_is_worse_by_the_margin_passes_by_chance() -> None:
    random = np.random.default_rng(2)
    assert passed(random, differ_by=0.1) < 0.1


def passed(random: np.random.Generator, differ_by: float) -> float:
    """How often a candidate passes whose recall is really lower by so much."""
    outcomes = []
    for _ in range(100):
        chance = random.random(107)
        active, candidate = chance < 0.65, (chance > 0.06 + differ_by) & (chance < 0.71)
        outcomes.append(gate.decide([recall(candidate.astype(float), active.astype(float))], []).promote)
    return float(np.mean(outcomes))


def test_an_interval_is_of_the_sum_over_units_and_not_of_their_mean() -> None:
    # One unit of nine days with nine alerts more, and nine of one day without: nine in eighteen days.
    low, high = gate.interval(np.array([9.0] + [0.0] * 9), np.array([9.0] + [1.0] * 9))
    assert low == 0
    assert 0.5 < high <= 1


@pytest.mark.parametrize("units", [1, 2, 5])
def test_few_units_are_compared_too(units: int) -> None:
    assert gate.decide([recall(np.ones(units), np.ones(units))], []).promote
