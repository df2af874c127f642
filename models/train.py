"""Table → model file and card.

In: a table with normal rows, and labelled attacks if there are any. Out: an ONNX file of the contract in
`receiver.detector`, and beside it a JSON card with the same provenance as its metadata. Raises `DataError`.

Rows are split by time: what is before `FIT_PART` of the rows fits the detector, what follows sets the threshold,
the model running through all of it as it would have. Labelled attacks are left out of both; a detector that learnt
how likely an attack is runs through them, and what is near them is not counted.

For a budget, the detector is then fitted to all rows and keeps that threshold: scores of rows that it has seen are
lower than those that the threshold was found on, so it errs to the quiet side. `objective="accuracy"` runs through
the attacks, needs some in the later part, and keeps the first fit: its threshold lies between two classes of scores.
A detector that learnt how likely an attack is needs no search: its threshold is where both are as likely, whatever
workload comes, and it is fitted to all rows.

The threshold also decides when baselines stand still, so it acts on the scores that it is found by: it is found,
built in, and found once more. Where the detector knows what attacks reach, a tail beyond all that normal rows had
goes no further than that. The threshold is the population's; for a budget, each node's own leaves it from there
(`models.own_threshold`).
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx

from models import table as tables
from models import threshold
from models.alerts import OF_ROWS, OVER_ROWS
from models.detectors import DEFAULT, DETECTORS
from models.detectors.build import Build
from models.graph import describe
from models.measures import FALSE_AFTER_SECONDS, FALSE_BEFORE_SECONDS
from models.own_threshold import NEVER_ALARMS, Alarm, around
from models.run import Progress, no_progress, probe, run
from models.table import Table
from receiver.columns import Bool
from receiver.detector import Detector
from receiver.detector.model import CONTRACT
from receiver.drift import CLASSES
from receiver.errors import ConfigurationError, DataError

Objective = Literal["budget", "accuracy"]
DEFAULT_FALSE_ALERTS_PER_NODE_DAY = 0.1
# Of the rows in time order, so many fit; the others set the threshold.
FIT_PART = 0.7
# A detector fitted to fewer rows knows nothing.
MIN_NORMAL_ROWS = 100
ROUNDS = 2


def train(
    data: Path,
    out: Path,
    *,
    created_ms: int,
    detector: str | None = None,
    false_alerts_per_node_day: float | None = None,
    objective: Objective = "budget",
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Train on the table at `data`, write the model to `out` and its card beside it; returns the card."""
    name = detector or DEFAULT
    if name not in DETECTORS:
        raise ConfigurationError(f"no detector {name}; there are: {', '.join(DETECTORS)}")
    budget = DEFAULT_FALSE_ALERTS_PER_NODE_DAY if false_alerts_per_node_day is None else false_alerts_per_node_day
    if not budget > 0:
        raise ConfigurationError("false alerts per node-day must be more than 0")
    table = tables.read(data)
    model, found = fit(table, name, budget, objective, progress)
    card = finish(model, name, created_ms, found | {"data": describe_data(table, data)})
    write(model, card, out)
    return card


def fit(
    table: Table, name: str, budget: float, objective: Objective, progress: Progress = no_progress
) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """The model, and how its threshold was found."""
    order = np.argsort(table.time_ms, kind="stable")
    table = table.take(order)
    split_ms = int(table.time_ms[int(FIT_PART * (len(table) - 1))])
    early = table.time_ms <= split_ms
    if early.sum() - (0 if table.attack is None else table.attack[early].sum()) < MIN_NORMAL_ROWS:
        raise DataError(f"fewer than {MIN_NORMAL_ROWS} normal rows in the first {FIT_PART:.0%} of the table")
    build = DETECTORS[name](table.take(early))
    if objective == "accuracy":
        level, how = _accuracy(build, table, ~early, progress)
        alarm = Alarm(level)
        if build.even is not None:
            build = DETECTORS[name](table)
    else:
        level, how = _budget(build, table, ~early, budget, progress)
        build = DETECTORS[name](table)
        alarm = Alarm(level, around(level, build.least, build.most, budget, how["tail_log_scale"]))
    return build.at(alarm), {"threshold": {"objective": objective} | how, "split_ms": split_ms}


def _budget(build: Build, table: Table, later: Bool, budget: float, progress: Progress) -> tuple[float, dict[str, Any]]:
    normal = np.ones(len(table), bool) if table.attack is None else ~table.attack
    if build.even is None:
        # It would learn attacks before there is a threshold.
        table, counted, level = table.take(normal), later[normal], NEVER_ALARMS
    else:
        # It stands still in attacks from the first, so it runs through them, as in service.
        counted, level = later & quiet(table), build.even
        if counted.sum() < MIN_NORMAL_ROWS:
            counted = later & normal
    lowest = build.least
    for _ in range(ROUNDS):
        score = run(probe(build.at(Alarm(level))), table, progress).score.astype(np.float64) * level
        nodes = nodes_of(table.take(counted), score[counted])
        found = threshold.for_budget(nodes, budget)
        highest = np.inf if build.most is None else max(build.most, found.highest_score)
        # A baseline that stands still lets scores rise: the lower of two thresholds would break the budget.
        level = lowest = max(lowest, min(found.threshold, highest))
    how = found.card()
    if level != found.threshold:
        # The card speaks of the threshold that is used, not of the one that the data alone would have given.
        seen = threshold.count(nodes, level)
        how |= {
            "method": "most" if level < found.threshold else "least" if level == build.least else "first round",
            "calibrated_threshold": found.threshold,
            "alerts": seen,
            "bound_95_per_node_day": threshold.rate_bound(seen, found.node_days),
        }
    return level, how | {"threshold": level, "alert": f"{OVER_ROWS} of {OF_ROWS} rows"}


def quiet(table: Table) -> Bool:
    """Rows [R] at which an alert would be false: those near no attack of their node."""
    quiet = np.ones(len(table), bool)
    if table.attack is None:
        return quiet
    order = np.lexsort((table.time_ms, table.node))
    for rows in np.split(order, np.flatnonzero(np.diff(table.node[order])) + 1):
        seconds, attack = table.time_ms[rows] / 1000, table.attack[rows]
        at = seconds[attack]
        before = np.searchsorted(at, seconds - FALSE_AFTER_SECONDS)
        quiet[rows] = before == np.searchsorted(at, seconds + FALSE_BEFORE_SECONDS, side="right")
    return quiet


def _accuracy(build: Build, table: Table, later: Bool, progress: Progress) -> tuple[float, dict[str, Any]]:
    attack = table.attack
    if attack is None or not attack[later].any() or attack[later].all():
        raise DataError(f"--objective accuracy needs rows with attack 0 and with 1 in the last {1 - FIT_PART:.0%}")
    if build.even is not None:
        called = run(probe(build.at(Alarm(build.even))), table, progress).score > 1
        accuracy = float((called == attack)[later].mean())
        return build.even, {"threshold": build.even, "accuracy": accuracy, "rows": int(later.sum())}
    best, level = (-1.0, 1.0), NEVER_ALARMS
    for _ in range(ROUNDS + 1):
        score = run(probe(build.at(Alarm(level))), table, progress).score.astype(np.float64) * level
        if level != NEVER_ALARMS:
            best = max(best, (float(((score > level) == attack)[later].mean()), level))
        level = threshold.for_accuracy(score[later], attack[later])
    accuracy, level = best
    return level, {"threshold": level, "accuracy": accuracy, "rows": int(later.sum())}


def nodes_of(table: Table, score: Any) -> list[threshold.Node]:
    """The scores [R] of a table by node, each in time order."""
    order = np.lexsort((table.time_ms, table.node))
    cuts = np.flatnonzero(np.diff(table.node[order])) + 1
    return [threshold.Node(table.time_ms[rows] / 1000, score[rows]) for rows in np.split(order, cuts) if len(rows)]


def describe_data(table: Table, path: Path) -> dict[str, Any]:
    """What a model was trained on."""
    return {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "rows": len(table),
        "attack_rows": 0 if table.attack is None else int(table.attack.sum()),
        "nodes": len(table.nodes),
        "from_ms": int(table.time_ms.min()),
        "to_ms": int(table.time_ms.max()),
        "median_row_seconds": float(np.median(table.row_seconds())),
        "missing_features": [
            name for name, column in zip(table.features, table.x.T, strict=True) if np.isnan(column).all()
        ],
        "quantiles": quantiles(table.normal()),
    }


def quantiles(normal: Table) -> dict[str, list[float]]:
    """Of each feature that there is, what `receiver.drift` compares with: least value, deciles, largest."""
    shares = np.linspace(0, 1, CLASSES + 1)
    finite = {name: column[np.isfinite(column)] for name, column in zip(normal.features, normal.x.T, strict=True)}
    return {name: np.quantile(values, shares).tolist() for name, values in finite.items() if len(values)}


def finish(model: onnx.ModelProto, name: str, created_ms: int, provenance: dict[str, Any]) -> dict[str, Any]:
    """Name the model, by what it is; the card."""
    created = datetime.fromtimestamp(created_ms / 1000, UTC)
    digest = hashlib.sha256(model.SerializeToString()).hexdigest()[:8]
    provenance = provenance | {
        "tools": {tool: version_of(tool) for tool in ("onnx", "scikit-learn", "skl2onnx", "onnxruntime", "numpy")}
    }
    card = {
        "contract": CONTRACT,
        "version": f"{name}-{created:%Y%m%d}-{digest}",
        "detector": name,
        "created": created.isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
    describe(model, card | {"provenance": provenance})
    features = next(json.loads(entry.value) for entry in model.metadata_props if entry.key == "nodescore.features")
    return card | {"features": features, "provenance": provenance}


def write(model: onnx.ModelProto, card: dict[str, Any], out: Path) -> None:
    """Check the model as the service will, and put it and its card in place at once."""
    body = model.SerializeToString()
    Detector.parse(body, out, card["features"])
    for path, content in ((out, body), (out.with_suffix(".json"), (json.dumps(card, indent=2) + "\n").encode())):
        try:
            draft = path.with_name(path.name + ".draft")
            draft.write_bytes(content)
            draft.replace(path)
        except OSError as error:
            raise ConfigurationError(f"{path}: cannot be written: {error.strerror}") from None
