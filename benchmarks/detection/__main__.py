"""Train and judge detectors on every data set: `python -m benchmarks.detection --data FOLDER`.

Without a folder it runs on our own scenarios. Detectors that need labels are left out of sets without. Scores are kept
under `--out`, one file a detector and case, and taken from there while nothing has changed that they came from: a run
that is cut short, or made in parts by `--sets` and `--detectors`, goes on where it was. Out: `figures.json`,
`tables.md`, and `curves-<set>.png`; the same every time for the same `--seed`. `--part tuning` looks at the parts of
the data that `splits` sets apart for tuning instead.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.detection import curves, report
from benchmarks.detection.cases import Case
from benchmarks.detection.compare import against
from benchmarks.detection.figures import Judged, figures, judged
from benchmarks.detection.scenarios import Missing
from benchmarks.detection.scoring import PERFECT, RANDOM, scored
from benchmarks.detection.sets import SETS
from benchmarks.detection.splits import FALSE_ALERTS_PER_NODE_DAY, Part
from models.detectors import DEFAULT, DETECTORS, NEED_LABELS
from models.detectors.supervised import can_learn
from receiver.errors import DataError

Views = dict[str, dict[str, list[Judged]]]  # view → detector → nodes


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, help="folder with eks-node, smd, …; without it only our own scenarios")
    parser.add_argument("--detectors", nargs="+", choices=list(DETECTORS), default=list(DETECTORS), metavar="NAME")
    parser.add_argument(
        "--sets", nargs="+", choices=list(SETS), default=list(SETS), metavar="NAME", help=", ".join(SETS)
    )
    parser.add_argument("--out", type=Path, default=Path(".cache/detection"), help="folder for scores and results")
    parser.add_argument("--part", choices=("test", "tuning"), default="test")
    parser.add_argument("--seed", type=int, default=0, help="of the random detector and the bootstrap")
    given = parser.parse_args(arguments)
    try:
        measure(given.data, given.sets, given.detectors, given.out, given.part, given.seed)
    except DataError as error:
        sys.exit(f"error: {error}")


def measure(
    data: Path | None, sets: Sequence[str], detectors: Sequence[str], out: Path, part: Part, seed: int
) -> dict[str, Any]:
    """Figures by set, view and detector, which are also written to `out`."""
    out.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {}
    lines = [f"Threshold from training data, {FALSE_ALERTS_PER_NODE_DAY} false alerts a node-day asked for.", ""]
    for name in sets:
        cases = _cases(name, data, part)
        if not cases:
            continue
        objective = cases[0].objective
        able = _able(name, cases, detectors)
        reference = DEFAULT if DEFAULT in able else [*able, RANDOM][0]
        views, training = _score(name, cases, [RANDOM, *able, PERFECT], out, part, seed)
        lines += [f"### {SETS[name].title}", ""]
        found[name] = {"training": training, "views": {}}
        for view, by_detector in views.items():
            of_view = {detector: figures(nodes, objective) for detector, nodes in by_detector.items()}
            differences = {
                f"{detector} − {reference}": against(
                    of_view[reference]["per_node"], of_view[detector]["per_node"], objective, seed
                )
                for detector in able
                if detector != reference
            }
            drawn = {} if objective == "accuracy" else _draw(name, view, by_detector, out, part)
            lines += report.view(f"{name}: {view}", of_view, differences)
            found[name]["views"][view] = {
                "detectors": of_view,
                "differences": {pair: {m: _plain(d) for m, d in by.items()} for pair, by in differences.items()},
                "curves": drawn,
            }
        # After every set: a run that is cut short leaves what it has.
        (out / f"figures-{part}.json").write_text(json.dumps(found, indent=1) + "\n")
        (out / f"tables-{part}.md").write_text("\n".join(lines))
    return found


def _cases(name: str, data: Path | None, part: Part) -> list[Case]:
    if data is None and SETS[name].needs_folder:
        _say(f"{name}: left out, it needs --data")
        return []
    try:
        return SETS[name].cases(data or Path(), part)
    except Missing as error:
        _say(f"{name}: left out: {error}")
        return []


def _able(name: str, cases: Sequence[Case], detectors: Sequence[str]) -> list[str]:
    """The detectors that can be trained on these cases."""
    if all(can_learn(case.train) for case in cases):
        return list(detectors)
    unable = [detector for detector in detectors if detector in NEED_LABELS]
    if unable:
        _say(f"{name}: without {', '.join(unable)}: they need labels")
    return [detector for detector in detectors if detector not in unable]


def _score(
    name: str, cases: Sequence[Case], detectors: Sequence[str], out: Path, part: Part, seed: int
) -> tuple[Views, dict[str, Any]]:
    views: Views = {}
    training: dict[str, Any] = {}
    total, done = len(cases) * len(detectors), 0
    for detector in detectors:
        for case in cases:
            began = time.perf_counter()
            scores = scored(case, detector, out / "scores" / part / name / f"{case.name}.{detector}.npz", seed)
            training.setdefault(detector, {})[case.name] = scores.how
            for view, nodes in judged(case, scores).items():
                views.setdefault(view, {}).setdefault(detector, []).extend(nodes)
            done += 1
            _say(f"{name} {done}/{total}: {detector}, {case.name}: {time.perf_counter() - began:.1f} s")
    return views, training


def _draw(name: str, view: str, by_detector: Mapping[str, Sequence[Judged]], out: Path, part: Part) -> dict[str, Any]:
    """The picture of a view, where it has events; its points."""
    rows = {name: [node.rows for node in nodes] for name, nodes in by_detector.items() if name != PERFECT}
    points = {detector: curves.as_json(curves.curve(nodes)) for detector, nodes in rows.items()}
    points = {detector: found for detector, found in points.items() if found}
    if points:
        at_one = {detector: curves.point(rows[detector], 1.0) for detector in points}
        marked = {detector: curves.as_json([one])[0] for detector, one in at_one.items() if one is not None}
        path = out / f"curves-{part}-{name}-{view.replace(' ', '-').replace('%', 'percent')}.png"
        curves.draw(points, marked, f"{name}: {view}", path)
    return points


def _plain(difference: Any) -> dict[str, float]:
    return {name: getattr(difference, name) for name in ("mean", "low", "high", "nodes")}


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
