"""What feedback is worth, round by round: `python -m benchmarks.prequential [--data FOLDER]`.

Four runs over each stream: with the first model all along, with models that are trained again without feedback, with
it, and with a tenth of the labels wrong. With `--data`, the three workloads of `eks-node` in seven rounds, from a model
that has seen quiet rows of our own recordings only. Without, each of our own sessions whose work no model knows, in
four rounds of `nodescore retrain`, from the model that ships, and a run more as if its gate let everything pass;
attacks of half of the kinds are never spoken of. Writes `prequential-<set>.json` under `--out` and prints tables. The
random seed is the operator's.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.prequential import eks, recorded, report
from benchmarks.prequential.operator import Operator
from benchmarks.prequential.rounds import Course, Went, go
from models.scenarios import dataset
from receiver.detector import Detector

# Of a node and round: what somebody does in a minute.
AUDITS = 5
WRONG_SHARE = 0.1

Figures = Callable[[Course, Mapping[str, Went]], dict[str, Any]]


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.prequential", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--data", type=Path, help="folder with eks-node; without it our own recordings")
    parser.add_argument("--out", type=Path, default=Path(".cache/prequential"), help="folder for the figures")
    parser.add_argument("--seed", type=int, default=0, help="of the operator")
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    if given.data is not None:
        _measure("eks", *eks.course(given.data), given.seed, given.out)
        return
    for session in dataset.sessions(dataset.UNFAMILIAR):
        say = partial(_say, session.stem)
        with tempfile.TemporaryDirectory() as registry:
            course, start, figures = recorded.course(session, Path(registry), say)
            ungated, _, _ = recorded.course(session, Path(registry), say, gate=False)
            _measure(session.stem, course, start, figures, given.seed, given.out, ungated)


def _measure(
    name: str, course: Course, start: Detector, figures: Figures, seed: int, out: Path, ungated: Course | None = None
) -> None:
    runs: dict[str, tuple[Course, Operator | None]] = {
        "first model kept": (replace(course, train=lambda _, active: active), None),
        "without feedback": (course, None),
        "with feedback": (course, Operator(AUDITS, seed=seed)),
        "a tenth wrong": (course, Operator(AUDITS, WRONG_SHARE, seed)),
    }
    if ungated is not None:
        runs["with feedback, no gate"] = (ungated, Operator(AUDITS, seed=seed))
    went: dict[str, Went] = {}
    for run, (gone, operator) in runs.items():
        went[run] = go(gone, start, operator, partial(_say, f"{name}, {run}"))
        _write(out / f"prequential-{name}.json", figures(course, went))
    print(f"{name}\n\n{report.tables(figures(course, went))}", flush=True)


def _write(path: Path, found: dict[str, Any]) -> None:
    path.write_text(json.dumps(found, indent=1) + "\n")


def _say(run: str, line: str) -> None:
    print(f"{run}: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
