"""A new installation among nodes whose work its model has never met, in four rounds of alerts.

In: a session of such nodes, and the folder of the registry. Out: a `Course`, the model to begin with, and what makes
figures. Raises `DataError`. It begins with the model that ships, and each round ends with `nodescore retrain` as it is:
the rows so far, their scores and what was said are written to a store. The next round goes on with what the gate leaves
active then, or with the candidate whatever the gate says. The nodes do what no recorded node did that models learn
from, beside the usual, and are attacked at times. Attacks of every second kind are never spoken of, in alerts or
audits. Judged by recall within 60 s, of both halves of the kinds, and by false alerts.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.prequential.rounds import Course, Went, rounds_of
from benchmarks.recordings import unfamiliar
from models.measures import Labelled, find
from models.retraining.run import Plan, retrain
from models.retraining.sample import Sample
from models.scenarios.known import Known
from receiver import registry
from receiver.catalogue import Catalogue, load
from receiver.cli.stores import reading
from receiver.columns import Rows, Scores
from receiver.detector import Detector
from receiver.detector.model import read
from receiver.settings import Settings
from receiver.store import Finished, NewSeries
from receiver.store.embedded import EmbeddedStore

ROUNDS = 4
SOON_SECONDS = 60
BY = "benchmark"


def course(
    session: Path, folder: Path, tell: Callable[[str], None], *, gate: bool = True
) -> tuple[Course, Detector, Callable[..., dict[str, Any]]]:
    """The nodes of unfamiliar work; `tell` is told what the gate says of each candidate."""
    catalogue = load()
    attacked = unfamiliar(session, catalogue.feature_names)
    order = np.lexsort((attacked.table.time_ms, attacked.table.node))
    stream = attacked.table.take(order)
    kinds = sorted({attack.kind for _, attack in attacked.attacks})
    silent = set(kinds[::2])
    speaks = np.ones(len(stream), bool)
    for node, attack in attacked.attacks:
        if attack.kind in silent:
            inside = (stream.time_ms >= attack.start_ms) & (stream.time_ms <= attack.end_ms)
            speaks &= ~(inside & (stream.node == node))

    def train(sample: Sample, active: Detector) -> Detector:
        promoted, candidate, told = _retrained(sample, active, catalogue, folder)
        tell(told)
        return candidate if promoted or not gate else active

    def figures(course: Course, went: Mapping[str, Went]) -> dict[str, Any]:
        return {run: _figures(course, one, attacked, silent) for run, one in went.items()}

    return Course(stream, rounds_of(stream, ROUNDS), speaks, train), registry.first_model(catalogue), figures


def _retrained(sample: Sample, active: Detector, catalogue: Catalogue, folder: Path) -> tuple[bool, Detector, str]:
    """Whether the gate promotes it, the candidate, and why; the registry in `folder` has all versions so far."""
    first_ms, last_ms = int(sample.table.time_ms.min()), int(sample.table.time_ms.max())
    plan = Plan(first_ms, last_ms + 1)
    with tempfile.TemporaryDirectory() as data:
        settings = Settings.model_validate({"data_dir": folder})
        stored = Settings.model_validate({"data_dir": data})
        _store(sample, active, catalogue, stored)
        with reading(stored, catalogue) as reader, registry.opened(settings, catalogue) as models:
            shipped = registry.shipped_model(catalogue.name)
            registry.publish(models, catalogue, read(shipped), plan.now_ms, name=shipped)
            version = active.info.version
            registry.activate(models, catalogue, version, by=BY, reason="scored last", now_ms=plan.now_ms)
            outcome = retrain(reader, models, catalogue, plan, lambda _: None)
            candidate, _ = registry.load(models, catalogue, outcome.version.version)
    why = "; ".join(outcome.verdict.reasons)
    return outcome.promoted, candidate, f"{'promoted' if outcome.promoted else 'refused'}: {why}"


def _store(sample: Sample, active: Detector, catalogue: Catalogue, settings: Settings) -> None:
    """Rows, scores and labels, as a service would have stored them; totals are the inputs, which nobody reads."""
    table = sample.table
    order = np.lexsort((table.node, table.time_ms))
    node, time_ms, x = table.node[order], table.time_ms[order], table.x[order]
    rows = Rows(node, time_ms, x.astype(np.float64), x)
    scores = Scores(node, time_ms, sample.score[order], x, np.full_like(x, np.nan))
    store = EmbeddedStore.open(settings.embedded_path, catalogue)
    try:
        store.append([], [NewSeries(0, (("__name__", "up"),))], dict(enumerate(table.nodes)))
        store.write(Finished(rows, Rows.empty(x.shape[1]), scores, active.info.version, 0))
        for label in sample.labels:
            store.add_label(label)
    finally:
        store.close()


def _figures(course: Course, went: Went, attacked: Known, silent: set[str]) -> dict[str, Any]:
    """By round: recall of kinds spoken of and never spoken of, false alerts and quiet hours."""
    stream = course.stream
    rounds: list[dict[str, float]] = [
        {"spoken": 0, "spoken_raised": 0, "silent": 0, "silent_raised": 0, "false_alerts": 0, "quiet_hours": 0.0}
        for _ in range(int(course.round_of.max()) + 1)
    ]
    for node in range(len(stream.nodes)):
        rows = stream.node == node
        kind_at = {attack.start_ms: attack.kind for on, attack in attacked.attacks if on == node}
        for number, told in enumerate(rounds):
            own = rows & (course.round_of == number)
            attack = np.zeros(len(own), bool) if stream.attack is None else stream.attack
            found = find(Labelled(stream.time_ms[own] / 1000, went.score[own].astype(np.float64), attack[own]))
            told["false_alerts"] += found.false_alerts
            told["quiet_hours"] += found.normal_seconds / 3600
            begins = stream.time_ms[own][np.diff(attack[own].astype(np.int8), prepend=0) == 1]
            for start_ms, after in zip(begins.tolist(), found.raised_after.tolist(), strict=True):
                kind = kind_at[max(at for at in kind_at if at <= start_ms)]
                half = "silent" if kind in silent else "spoken"
                told[half] += 1
                told[f"{half}_raised"] += after <= SOON_SECONDS
    return {"rounds": rounds, "labels": len(went.labels), "never_spoken_of": sorted(silent)}
