"""A case and a detector → scores, by training as `nodescore train` does and running as the service does.

In: a `Case`, the name of a detector of `models.detectors`, or `random` or `perfect`. Out: `Scored`, 1.0 being the
threshold. What has been scored is kept in a file, and taken from there as long as nothing has changed that it came
from: the rows, the code that trains and runs this detector, the seed. Costs a training and a run.

`random` draws every score anew; its threshold comes from random scores of the training rows, as a detector's does.
`perfect` reads the labels: what the same rules would give a detector that is never wrong and never late.
"""

from __future__ import annotations

import ast
import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.detection.cases import Case, Stream
from benchmarks.detection.splits import FALSE_ALERTS_PER_NODE_DAY
from models import threshold
from models.calibration import nodes_of
from models.detectors import DETECTORS
from models.run import Run, probe, run
from models.table import Table, joined
from models.train import fit
from receiver.columns import Float32, Int64
from receiver.detector import Detector
from receiver.learner import ANEW_SECONDS

RANDOM, PERFECT = "random", "perfect"
# The features that a row's score came from most.
TOP = 3
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Scored:
    """What a detector says of the streams of a case, by their names."""

    score: dict[str, Float32]  # [R]
    top: dict[str, Int64]  # [R, TOP] features with the highest contributions, −1 where none is known
    how: dict[str, Any]  # the threshold, and what it took


def scored(case: Case, detector: str, kept: Path, seed: int) -> Scored:
    """The scores, from the file `kept` where they still hold."""
    mark = fingerprint(case, detector, seed)
    found = _kept(kept, mark)
    if found is None:
        if detector == RANDOM:
            found = _random(case, seed)
        elif detector == PERFECT:
            found = _perfect(case)
        else:
            found = _trained(case, detector)
        kept.parent.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = {f"score {name}": score for name, score in found.score.items()}
        arrays |= {f"top {name}": top for name, top in found.top.items()}
        np.savez_compressed(kept, allow_pickle=False, mark=mark, how=json.dumps(found.how), **arrays)
    return found


def fingerprint(case: Case, detector: str, seed: int) -> str:
    """Of everything that the scores follow from."""
    digest = hashlib.sha256(json.dumps([detector, case.objective, seed, FALSE_ALERTS_PER_NODE_DAY]).encode())
    pasts = [stream.past for stream in case.streams if stream.past is not None]
    for table in (case.train, *(stream.table for stream in case.streams), *pasts):
        for array in (table.x, table.time_ms, table.node, table.attack):
            digest.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
        digest.update(",".join(table.features).encode())
    for path in sorted(sources(detector)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def sources(detector: str) -> set[Path]:
    """The files that train and run a detector: what they import of `models` and of the service's detector."""
    waiting = {"benchmarks.detection.scoring", "models.train", "models.run"}
    if detector in DETECTORS:
        waiting.add(DETECTORS[detector].__module__)
    found: set[Path] = set()
    while waiting:
        path = _file(waiting.pop())
        if path is not None and path not in found:
            found.add(path)
            waiting |= set(_imports(path))
    return found


def _file(module: str) -> Path | None:
    # The list of all detectors imports all of them; one does not follow from the others.
    if module == "models.detectors" or not module.startswith(("models.", "receiver.detector", "benchmarks.detection")):
        return None
    path = ROOT / Path(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.exists()), None)


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def _trained(case: Case, detector: str) -> Scored:
    began = time.perf_counter()
    model, how = fit(case.train, detector, FALSE_ALERTS_PER_NODE_DAY, case.objective)
    trained = time.perf_counter()
    ready = probe(model)
    score, top = {}, {}
    for stream in case.streams:
        result = _run(ready, stream)
        score[stream.name] = result.score
        if stream.episodes:
            top[stream.name] = highest(result.contribution)
    seconds = {"training_seconds": trained - began, "running_seconds": time.perf_counter() - trained}
    return Scored(score, top, how | seconds)


def _run(detector: Detector, stream: Stream) -> Run:
    """What a model says of the rows of a stream, after the look back that the service has a new model take."""
    if stream.past is None:
        return run(detector, stream.table)
    result, over = _after(detector, stream.past, stream.table)
    if over:
        last_hour = stream.past.time_ms > stream.past.time_ms[-1] - ANEW_SECONDS * 1000
        result, _ = _after(detector, stream.past.take(last_hour), stream.table)
    return result


def _after(detector: Detector, past: Table, table: Table) -> tuple[Run, bool]:
    """What it says of a node's rows after those of its past, and whether these end over the threshold."""
    both = joined([past, table])
    whole = run(detector, replace(both, nodes=table.nodes, node=np.zeros_like(both.node)))
    return Run(whole.score[len(past) :], whole.contribution[len(past) :]), bool(whole.score[len(past) - 1] > 1)


def highest(contribution: Float32) -> Int64:
    """The features that contribute most to each row [R, TOP], the most first; −1 for those that contribute nothing."""
    order = np.argsort(-np.nan_to_num(contribution, nan=0.0), axis=1, kind="stable")[:, :TOP]
    there = np.nan_to_num(np.take_along_axis(contribution, order, axis=1), nan=0.0) > 0
    return np.where(there, order, -1).astype(np.int64)


def _random(case: Case, seed: int) -> Scored:
    random = np.random.default_rng([seed, *case.name.encode()])
    draw = random.random(len(case.train))
    if case.objective == "accuracy" and case.train.attack is not None:
        level = threshold.for_accuracy(draw, case.train.attack)
    else:
        normal = case.train.normal()
        nodes = nodes_of(normal, random.random(len(normal)))
        level = threshold.for_budget(nodes, FALSE_ALERTS_PER_NODE_DAY).threshold
    score = {stream.name: (random.random(len(stream.table)) / level).astype(np.float32) for stream in case.streams}
    return Scored(score, {}, {"threshold": {"threshold": level}})


def _perfect(case: Case) -> Scored:
    return Scored({stream.name: _labels(stream.table) for stream in case.streams}, {}, {})


def _labels(table: Table) -> Float32:
    attack = np.zeros(len(table), bool) if table.attack is None else table.attack
    return np.where(attack, 2.0, 0.0).astype(np.float32)


def _kept(path: Path, mark: str) -> Scored | None:
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as arrays:
        if str(arrays["mark"]) != mark:
            return None
        return Scored(
            {name.removeprefix("score "): arrays[name] for name in arrays if name.startswith("score ")},
            {name.removeprefix("top "): arrays[name] for name in arrays if name.startswith("top ")},
            json.loads(str(arrays["how"])),
        )
