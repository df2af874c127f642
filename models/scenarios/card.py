"""The figures in the cards of the recorded sessions: `python -m models.scenarios.card`, after a session was added.

In: a folder of sessions, its README.md. Out: the part of README.md between two marks, made anew: hours, episodes
by kind and strength, the bound that the normal time sets to a rate of false alerts, and which features each kind moved.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from models.scenarios.attacks import KINDS
from models.scenarios.dataset import DATA, UNFAMILIAR, Attacked, episodes, sessions
from models.scenarios.effect import moved, quiet_rows
from models.scenarios.node import OF_THE_MACHINE
from models.table import Table, read

CARDS = (DATA, UNFAMILIAR)
BEGIN, END = "<!-- figures: made by python -m models.scenarios.card -->", "<!-- end of figures -->"
MOVED_SIGMAS = 5.0
FEATURES_SHOWN = 6
SECONDS_PER_DAY = 86_400.0
# Without an alert in D node-days a rate is below 3 / D with 95 % confidence, after Hanley and Lippman-Hand (1983).
RULE_OF_THREE = 3.0
GAP_SECONDS = 60.0  # between two rows; more than that was not recorded


@dataclass(frozen=True)
class Session:
    """A session, read."""

    path: Path
    table: Table
    episodes: list[Attacked]

    @property
    def recorded_days(self) -> float:
        """Node-days between rows."""
        return _days(self.table, np.ones(len(self.table), np.bool_))

    @property
    def quiet_days(self) -> float:
        """Node-days neither attacked nor in the aftermath of an attack."""
        names = [name.node for name in self.table.nodes]
        return sum(_days(self.table, quiet_rows(self.table, self.episodes, node)) for node in names)


def figures(folder: Path = DATA) -> str:
    """The tables, as Markdown."""
    all_ = [Session(path, read(path), episodes(path)) for path in sessions(folder)]
    quiet_days = sum(session.quiet_days for session in all_)
    lines = [
        "| session | nodes | rows | node-hours | quiet node-hours | episodes |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for one in all_:
        hours = f"{24 * one.recorded_days:.2f} | {24 * one.quiet_days:.2f}"
        lines.append(
            f"| `{one.path.name}` | {len(one.table.nodes)} | {len(one.table)} | {hours} | {len(one.episodes)} |"
        )
    lines += [
        "",
        f"Quiet time: {24 * quiet_days:.2f} node-hours, {quiet_days:.3f} node-days. Without a false alert in it,",
        f"a rate is below {RULE_OF_THREE / quiet_days:.0f} a node-day (95 %), and no lower one can be shown here.",
        "",
        "| kind | episodes | strengths (how many) | minutes | features moved in most episodes |",
        "| --- | --- | --- | --- | --- |",
    ]
    return "\n".join([*lines, *(_kind(name, all_) for name in KINDS)])


def _kind(name: str, all_: list[Session]) -> str:
    own = [(one, number) for one in all_ for number, episode in enumerate(one.episodes) if episode.kind == name]
    strengths = Counter(one.episodes[number].strength for one, number in own)
    minutes = sum(one.episodes[number].end_ms - one.episodes[number].start_ms for one, number in own) / 60_000
    counts = Counter(
        found.feature
        for one, number in own
        for found in moved(one.table, one.episodes, number)
        if abs(found.sigmas) >= MOVED_SIGMAS
    )
    shown = [
        f"{feature}{'*' if feature in OF_THE_MACHINE else ''} {count}"
        for feature, count in counts.most_common(FEATURES_SHOWN)
    ]
    spread = ", ".join(f"{strength:g} ({count})" for strength, count in sorted(strengths.items()))
    return f"| {name} | {len(own)} | {spread} {KINDS[name].unit} | {minutes:.1f} | {', '.join(shown)} |"


def _days(table: Table, rows: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> float:
    """Node-days between consecutive rows that are both chosen."""
    total_ms = 0
    for number in range(len(table.nodes)):
        own = np.flatnonzero(table.node == number)
        own = own[np.argsort(table.time_ms[own])]
        for earlier, later in pairwise(own.tolist()):
            step_ms = int(table.time_ms[later] - table.time_ms[earlier])
            if rows[earlier] and rows[later] and step_ms <= 1000 * GAP_SECONDS:
                total_ms += step_ms
    return total_ms / 1000 / SECONDS_PER_DAY


def renewed(card: str, folder: Path = DATA) -> str:
    """The card with its figures made anew."""
    before, rest = card.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{figures(folder)}\n\n{END}{after}"


def main() -> None:
    """Renew the cards that ship."""
    for folder in CARDS:
        path = folder / "README.md"
        path.write_text(renewed(path.read_text(encoding="utf-8"), folder), encoding="utf-8")


if __name__ == "__main__":
    main()
