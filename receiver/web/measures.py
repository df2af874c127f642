"""What a version's measures say: the gate's verdict, and what feedback has changed.

Measures are JSON that other programs may have written too. What has another form than ours is left out, and text is
cut, so that nothing in there can break the page that shows it; nothing is raised. The form:

    gate      promote, against (a version), at (RFC 3339), reasons (sentences), and compared: a list of measure (a
              sentence), candidate, active, low and high (95 % interval of candidate − active), margin (how much worse
              is allowed) and holds
    feedback  false_alarms and attacks, each with marked (intervals), and how many of them active and candidate alert on
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Of a sentence that is shown.
MAX_CHARACTERS = 400
# Of reasons, and of what was compared: more than anybody reads.
MAX_ENTRIES = 50
MAX_VERSION_CHARACTERS = 200
# What feedback marks, as the page says it.
MARKED = {"false_alarms": "false alarms", "attacks": "attacks"}


@dataclass(frozen=True, slots=True)
class Compared:
    """A measure of the candidate beside that of the version that was active."""

    measure: str
    candidate: float | None
    active: float | None
    low: float | None
    high: float | None
    margin: float | None
    holds: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate said."""

    promote: bool
    against: str
    at: str
    reasons: list[str]
    compared: list[Compared]


@dataclass(frozen=True, slots=True)
class Change:
    """How many of the marked intervals each version alerts on."""

    what: str
    marked: int
    active: int
    candidate: int


@dataclass(frozen=True, slots=True)
class Measured:
    """All that is shown of a version's measures."""

    verdict: Verdict | None
    changes: list[Change]


def read(measures: Mapping[str, Any]) -> Measured:
    """What can be understood of the measures."""
    feedback = measures.get("feedback")
    return Measured(_verdict(measures.get("gate")), _changes(feedback) if isinstance(feedback, dict) else [])


def _verdict(said: object) -> Verdict | None:
    if not isinstance(said, dict) or not isinstance(said.get("promote"), bool):
        return None
    return Verdict(
        promote=said["promote"],
        against=_text(said.get("against"))[:MAX_VERSION_CHARACTERS],
        at=_text(said.get("at")),
        reasons=[reason for entry in _list(said.get("reasons")) if (reason := _text(entry))],
        compared=[_compared(entry) for entry in _list(said.get("compared")) if isinstance(entry, dict)],
    )


def _compared(said: Mapping[str, Any]) -> Compared:
    candidate, active, low, high, margin = (
        _number(said.get(name)) for name in ("candidate", "active", "low", "high", "margin")
    )
    return Compared(_text(said.get("measure")), candidate, active, low, high, margin, said.get("holds") is True)


def _changes(said: Mapping[str, Any]) -> list[Change]:
    found = []
    for name, what in MARKED.items():
        counts = said.get(name)
        if isinstance(counts, dict):
            marked, active, candidate = (_count(counts.get(key)) for key in ("marked", "active", "candidate"))
            if marked is not None and active is not None and candidate is not None:
                found.append(Change(what, marked, active, candidate))
    return found


def _list(said: object) -> list[Any]:
    return said[:MAX_ENTRIES] if isinstance(said, list) else []


def _text(said: object) -> str:
    return said[:MAX_CHARACTERS] if isinstance(said, str) else ""


def _number(said: object) -> float | None:
    """None for what is no number, or one that float64 cannot hold."""
    if isinstance(said, bool) or not isinstance(said, int | float):
        return None
    try:
        number = float(said)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _count(said: object) -> int | None:
    return said if type(said) is int and 0 <= said < 2**53 else None
