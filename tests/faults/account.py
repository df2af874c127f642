"""What was acknowledged beside what is stored: one line of the harness's table a fault.

A row is *lost* where it is not stored, *duplicated* where it is stored once more, and *wrong* where one of its values
is missing, another one, or not to be there, or where nobody sent it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

from tests.faults.oracle import Rows, Values
from tests.faults.stored import Found

# A quotient may be rounded once more or once less.
RELATIVE = 1e-15
# Differences that a line names.
EXAMPLES = 3


@dataclass(frozen=True)
class Difference:
    """Of what is stored from what was acknowledged."""

    expected: int
    found: int
    lost: int
    duplicated: int
    wrong: int
    examples: tuple[str, ...]

    @property
    def none(self) -> bool:
        """True where the store holds what it has to."""
        return not (self.lost or self.duplicated or self.wrong)


@dataclass(frozen=True)
class Account:
    """One line."""

    fault: str
    store: str
    injected: int
    requests: int
    samples: int
    expected: int
    found: int
    lost: int
    duplicated: int
    wrong: int


HEADINGS = {
    "fault": "fault",
    "store": "store",
    "injected": "injected",
    "requests": "requests acknowledged",
    "samples": "samples acknowledged",
    "expected": "rows expected",
    "found": "rows found",
    "lost": "lost",
    "duplicated": "duplicated",
    "wrong": "wrong",
}


def difference(expected: Rows, found: Found) -> Difference:
    """Compare."""
    counts = Counter(key for key, _ in found)
    lost = expected.keys() - counts.keys()
    wrong = [(key, values) for key, values in found if not same(expected.get(key), values)]
    repeated = [key for key, count in counts.items() if count > 1]
    examples = [f"lost {key}" for key in sorted(lost)[:EXAMPLES]]
    examples += [f"duplicated {key}" for key in sorted(repeated)[:EXAMPLES]]
    examples += [f"wrong {key}: {_unequal(expected.get(key), values)}" for key, values in sorted(wrong)[:EXAMPLES]]
    return Difference(
        expected=len(expected),
        found=len(found),
        lost=len(lost),
        duplicated=sum(counts[key] - 1 for key in repeated),
        wrong=len(wrong),
        examples=tuple(examples),
    )


def same(expected: Values | None, found: Values) -> bool:
    """True where these are the values to be found."""
    return expected is not None and not _unequal(expected, found)


def markdown(accounts: Sequence[Account]) -> str:
    """The table."""
    head = [HEADINGS[field.name] for field in fields(Account)]
    lines = [head, ["---", "---", *["---:"] * (len(head) - 2)]]
    lines += [[f"{cell:,}" if isinstance(cell, int) else cell for cell in astuple(account)] for account in accounts]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _unequal(expected: Values | None, found: Values) -> str:
    if expected is None:
        return "nobody sent it"
    return ", ".join(
        f"{name} is {found.get(name)}, not {expected.get(name)}"
        for name in sorted(expected.keys() | found.keys())
        if not math.isclose(expected.get(name, math.nan), found.get(name, math.nan), rel_tol=RELATIVE, abs_tol=0)
    )
