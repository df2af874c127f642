"""Sets whose machines have a part to train on, without labels, and a labelled part after it: SMD and ASD.

In: `smd/machine-*.npz` (38 features, a row a minute; Su et al., OmniAnomaly, 2019) and `asd/omi-*.npz` (19 metrics,
a row in five minutes; Li et al., InterFusion, 2021), arrays `train`, `test`, `label`. Out: cases. Raises `DataError`.

A machine that trained was there before it is judged: what trained is the past that the model looks back on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.detection import splits
from benchmarks.detection.cases import Case, Stream, node_table, whole, without_labels
from benchmarks.detection.inject import injected
from benchmarks.detection.splits import Part
from models.table import Table, joined
from receiver.errors import DataError
from receiver.learner import LOOK_BACK_SECONDS

SMD_ROW_SECONDS = 60
ASD_ROW_SECONDS = 300


@dataclass(frozen=True, slots=True)
class _Machine:
    name: str
    train: Table  # without labels
    test: Table


def smd(folder: Path, part: Part) -> list[Case]:
    """A model for each machine of SMD, trained on its own past."""
    machines = _machines(folder / "smd", "machine-*.npz", SMD_ROW_SECONDS)
    return [_untouched(one) if part == "test" else _of_train(one) for one in machines]


def smd_unseen(folder: Path, part: Part) -> list[Case]:
    """Every second machine of SMD together, by a model that was trained on the others."""
    machines = _machines(folder / "smd", "machine-*.npz", SMD_ROW_SECONDS)
    cases = []
    for name, half in (("even", 0), ("odd", 1)):
        if part == "test":
            judged, train = [one.test for one in machines[half::2]], [one.train for one in machines[1 - half :: 2]]
        else:
            quiet = [_of_train(one).streams[0].table for one in machines[half::2]]
            judged, train = quiet, [_of_train(one).train for one in machines[1 - half :: 2]]
        cases.append(Case(name, joined(train), "budget", (whole("all", joined(judged)),)))
    return cases


def asd(folder: Path, part: Part) -> list[Case]:
    """A model for each server of ASD, trained on its own past."""
    servers = _machines(folder / "asd", "omi-*.npz", ASD_ROW_SECONDS)
    cases = []
    for one in servers:
        may_tune = splits.asd_may_tune(one.name)
        if part == "tuning":
            cases.append(_untouched(one) if may_tune else _of_train(one))
        else:
            views = {"all": np.ones(len(one.test), bool)}
            if not may_tune:
                views["untouched by tuning"] = views["all"]
            cases.append(Case(one.name, one.train, "budget", (Stream("test", one.test, views, past=_past(one.train)),)))
    return cases


def _untouched(machine: _Machine) -> Case:
    stream = replace(whole("all", machine.test), past=_past(machine.train))
    return Case(machine.name, machine.train, "budget", (stream,))


def _of_train(machine: _Machine) -> Case:
    """The train part split in time: its end as it is, for false alerts, and with anomalies that are made up."""
    early = splits.until(len(machine.train), splits.MACHINES_TUNING_TRAIN)
    before, late = machine.train.take(early), machine.train.take(~early)
    quiet = replace(late, attack=np.zeros(len(late), bool))
    changed, episodes = injected(before, quiet, splits.INJECTION_SEED)
    streams = (whole("train part", quiet), whole("anomalies made up", changed, episodes))
    past = _past(before)
    return Case(machine.name, before, "budget", tuple(replace(stream, past=past) for stream in streams))


def _past(before: Table) -> Table:
    """What the service has of a node when a model that it trained on this takes over."""
    return before.take(before.time_ms > before.time_ms[-1] - LOOK_BACK_SECONDS * 1000)


def _machines(folder: Path, pattern: str, row_seconds: int) -> list[_Machine]:
    found = []
    for path in sorted(folder.glob(pattern)):
        with np.load(path, allow_pickle=False) as arrays:
            if not {"train", "test", "label"} <= set(arrays):
                raise DataError(f"{path}: arrays are {sorted(arrays)}, not train, test and label")
            train, test, label = arrays["train"], arrays["test"], arrays["label"] != 0
        names = _feature_names(folder, train.shape[1])
        time_ms = np.arange(len(train) + len(test)) * (1000 * row_seconds)
        attack = np.concatenate([np.zeros(len(train), bool), label])
        rows = node_table(path.stem, names, time_ms, np.concatenate([train, test]), attack)
        trains = np.arange(len(rows)) < len(train)
        found.append(_Machine(path.stem, without_labels(rows.take(trains)), rows.take(~trains)))
    if not found:
        raise DataError(f"{folder}: no {pattern}")
    return found


def _feature_names(folder: Path, features: int) -> list[str]:
    path = folder / "feature_names.txt"
    names = path.read_text().split() if path.exists() else [f"metric_{number}" for number in range(features)]
    if len(names) != features:
        raise DataError(f"{path}: {len(names)} names for {features} features")
    return names
