"""Table → model file and card.

In: a table with normal rows, and labelled attacks if there are any. Out: an ONNX file of the contract in
`receiver.detector`, and beside it a JSON card with the same provenance as its metadata. Raises `DataError`.

The detector is fitted to all rows; its threshold comes from rows that it was not fitted to (`models.calibration`). It
is the population's; for a budget, each node's own leaves it from there (`models.own_threshold`).
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

from models import calibration
from models import table as tables
from models.calibration import MIN_NORMAL_ROWS
from models.detectors import DEFAULT, DETECTORS
from models.graph import describe
from models.own_threshold import Alarm, around
from models.run import Progress, no_progress
from models.table import Table
from receiver.columns import Bool
from receiver.detector import Detector
from receiver.detector.model import CONTRACT
from receiver.drift import CLASSES
from receiver.errors import ConfigurationError, DataError

Objective = Literal["budget", "accuracy"]
DEFAULT_FALSE_ALERTS_PER_NODE_DAY = 0.1


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
    budget = DEFAULT_FALSE_ALERTS_PER_NODE_DAY if false_alerts_per_node_day is None else false_alerts_per_node_day
    check(name, budget)
    table = tables.read(data)
    model, found = fit(table, name, budget, objective, progress)
    card = finish(model, name, created_ms, found | {"data": describe_data(table, data)})
    write(model, card, out)
    return card


def check(name: str, budget: float) -> None:
    """Refuse a detector that there is not, and a budget that nothing keeps."""
    if name not in DETECTORS:
        raise ConfigurationError(f"no detector {name}; there are: {', '.join(DETECTORS)}")
    if not budget > 0:
        raise ConfigurationError("false alerts per node-day must be more than 0")


def fit(
    table: Table,
    name: str,
    budget: float,
    objective: Objective,
    progress: Progress = no_progress,
    typical: Bool | None = None,
    excused: Bool | None = None,
) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """The model, and how its threshold was found; `typical` and `excused` as in `calibration.for_budget`."""
    in_time = np.argsort(table.time_ms, kind="stable")
    table = table.take(in_time)
    normal_rows = len(table) - (0 if table.attack is None else int(table.attack.sum()))
    if normal_rows < MIN_NORMAL_ROWS:
        raise DataError(f"{normal_rows} normal rows; it takes {MIN_NORMAL_ROWS} at least")
    learn = DETECTORS[name]
    if objective == "accuracy":
        build, level, how = calibration.for_accuracy(table, learn, progress)
        alarm = Alarm(level)
    else:
        build = learn(table)
        typical, excused = (None if rows is None else rows[in_time] for rows in (typical, excused))
        level, how = calibration.for_budget(table, learn, build, budget, progress, typical, excused)
        alarm = Alarm(level, around(level, build.least, build.most, budget, how["tail_log_scale"]))
    return build.at(alarm), {"threshold": {"objective": objective} | how}


def describe_data(table: Table, path: Path) -> dict[str, Any]:
    """What a model was trained on: a file."""
    return {
        "file": path.name,
        "sha256": hashlib.sha256(b"".join(file.read_bytes() for file in tables.files(path))).hexdigest(),
    } | describe_rows(table)


def describe_rows(table: Table) -> dict[str, Any]:
    """What a model was trained on: rows."""
    return {
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
