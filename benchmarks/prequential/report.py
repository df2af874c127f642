"""The figures of a benchmark's runs as a table in Markdown: a line for each run, a column for each round."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def tables(found: Mapping[str, Any]) -> str:
    """One table for each measure."""
    if any("rounds" in run for run in found.values()):
        measures: dict[str, Callable[[Mapping[str, Any]], str]] = {
            "recall within 60 s, kinds spoken of": lambda told: _of(told, "spoken_raised", "spoken"),
            "recall within 60 s, kinds never spoken of": lambda told: _of(told, "silent_raised", "silent"),
            "false alerts in quiet hours": lambda told: f"{told['false_alerts']} in {told['quiet_hours']:.2f}",
        }
        return "\n".join(
            _table(name, {run: [text(told) for told in one["rounds"]] for run, one in found.items()})
            for name, text in measures.items()
        )
    names = {"accuracy": "accuracy", "false_positive_rate": "false-positive rate"}
    lines = [
        _table(text, {run: [f"{x:.3f}" for x in one[name]] for run, one in found.items()})
        for name, text in names.items()
    ]
    for run, one in found.items():
        if "gain" in one:
            gain = one["gain"]
            lines.append(f"{run} − {gain['over']}: {gain['mean']:+.3f} [{gain['low']:+.3f}, {gain['high']:+.3f}]")
    return "\n".join(lines)


def _of(told: Mapping[str, Any], some: str, all_: str) -> str:
    return f"{int(told[some])} of {int(told[all_])}"


def _table(name: str, runs: Mapping[str, list[str]]) -> str:
    rounds = len(next(iter(runs.values())))
    head = [
        f"| {name} | " + " | ".join(str(number + 1) for number in range(rounds)) + " |",
        "| --- |" + " --- |" * rounds,
    ]
    return "\n".join([*head, *(f"| {run} | " + " | ".join(values) + " |" for run, values in runs.items()), ""])
