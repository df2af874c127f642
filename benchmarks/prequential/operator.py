"""What an operator says of a round: of every alert, and of a few moments below the threshold.

In: the scores of a node's rows in a round, what was true, who answers how. Out: labels, as the store keeps them. Every
row of an alert is spoken of. Attacks are labelled with their own intervals, as far as the round goes: who looks into an
alert finds when its attack began, and when it was over; what is left of the alert was none. `audits` moments a node and
round, drawn among rows of no alert, are labelled as what they were, since labels on alerts alone hide what is missed.
Who is wrong says the opposite.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from models import alerts
from receiver.columns import Bool, Float64, Int64, NodeName
from receiver.store import Label

# Rows of a moment that is audited: what a page shows around it.
AUDITED_ROWS = 10


@dataclass(frozen=True, slots=True)
class Operator:
    """How feedback is given."""

    audits: int  # moments below the threshold, a node and round
    wrong: float = 0.0  # so many labels are the opposite of what is true
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """R rows of a node in a round, by time."""

    name: NodeName
    time_ms: Int64  # [R]
    score: Float64  # [R]
    attack: Bool  # [R] what is true
    speaks: Bool  # [R] of attacks in these rows the operator says what they are


def labels(seen: Seen, operator: Operator, round_: int) -> list[Label]:
    """What is said of a node in a round."""
    random = np.random.default_rng([operator.seed, round_, *seen.name.node.encode()])
    return [
        _label(seen, first, last, attack != bool(random.random() < operator.wrong))
        for first, last, attack in [*_of_alerts(seen), *_audited(seen, operator.audits, random)]
    ]


def _of_alerts(seen: Seen) -> Iterator[tuple[int, int, bool]]:
    """First row, last row, attack or not: each attack once, however many alerts it had."""
    begins, ends = _runs(seen.attack)
    found = alerts.find(seen.score)
    said: set[int] = set()
    for raised, last in zip(found.raised.tolist(), found.last.tolist(), strict=True):
        touched = np.flatnonzero((begins <= last) & (ends >= raised)).tolist()
        if not all(seen.speaks[begins[attack]] for attack in touched):
            continue
        for attack in touched:
            if attack not in said:
                said.add(attack)
                yield int(begins[attack]), int(ends[attack]), True
        for begin, end in zip(*_runs(~seen.attack[raised : last + 1]), strict=True):
            yield raised + int(begin), raised + int(end), False


def _runs(chosen: Bool) -> tuple[Int64, Int64]:
    """First and last row of each run of chosen ones."""
    edges = np.diff(np.concatenate([[0], chosen.astype(np.int8), [0]]))
    return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1


def _audited(seen: Seen, moments: int, random: np.random.Generator) -> Iterator[tuple[int, int, bool]]:
    """Moments below the threshold that are all attack or all not."""
    starts = random.permutation(max(0, len(seen.score) - AUDITED_ROWS + 1))
    for start in starts[: 4 * moments]:
        rows = slice(int(start), int(start) + AUDITED_ROWS)
        attack = seen.attack[rows]
        alike = attack.all() or not attack.any()
        if moments and alike and (seen.score[rows] <= 1).all() and seen.speaks[rows].all():
            moments -= 1
            yield rows.start, rows.stop - 1, bool(attack[0])


def _label(seen: Seen, first: int, last: int, attack: bool) -> Label:
    start_ms, end_ms = int(seen.time_ms[first]), int(seen.time_ms[last])
    return Label(seen.name, start_ms, end_ms, attack, None, "", "operator", int(seen.time_ms[-1]))
