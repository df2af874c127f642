"""Store and feedback → a candidate in the registry, promoted where the gate lets it.

In: a reader of the rows and labels, the store of versions, the time. Out: an `Outcome`. Raises `DataError` where there
is too little to learn from or to judge by, and what both stores raise. Costs what `nodescore train` costs on the rows
that are drawn, and a run of two models over the later ones; `python -m benchmarks.retraining` measures it on a store of
30 days.

The last rows are kept from the candidate, for the gate: `LATER_SHARE` of the time. Labels teach whenever they are of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models import train
from models.detectors import DEFAULT
from models.retraining import gate, lessons, sample, trial
from models.retraining.gate import Verdict
from models.retraining.sample import Sample
from models.retraining.trial import Contest
from models.scenarios import known as recorded
from receiver import registry
from receiver.catalogue import Catalogue
from receiver.detector import Detector
from receiver.errors import Conflict, DataError
from receiver.store import Label, ModelStore, ModelVersion, RowReader
from receiver.web.instants import format_instant

# Of the time, so much at the end judges and does not teach; no more than two days, which 100 nodes make 200 of.
LATER_SHARE, LATER_MS = 0.2, 2 * 86_400_000
# The author of what it promotes.
BY = "retraining"
SEED = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for."""

    since_ms: int
    now_ms: int
    detector: str = DEFAULT
    false_alerts_per_node_day: float = train.DEFAULT_FALSE_ALERTS_PER_NODE_DAY
    promote: bool = True  # False: it stays a candidate whatever the gate says


@dataclass(frozen=True, slots=True)
class Outcome:
    """The new version and what became of it."""

    version: ModelVersion
    verdict: Verdict
    promoted: bool


def retrain(
    reader: RowReader,
    models: ModelStore,
    catalogue: Catalogue,
    plan: Plan,
    tell: Callable[[str], None],
) -> Outcome:
    """Train a candidate, try it beside the active model, publish it, and promote it if it is not worse.

    `tell` is told what is being done.
    """
    train.check(plan.detector, plan.false_alerts_per_node_day)
    first_ms = next((int(block.time_ms[0]) for block in reader.read_scores(plan.since_ms, plan.now_ms)), None)
    if first_ms is None:
        raise DataError(f"the store has no scored row since {format_instant(plan.since_ms)}; nothing to learn from")
    later_ms = plan.now_ms - min(LATER_MS, int(LATER_SHARE * (plan.now_ms - first_ms)))
    if next(iter(reader.read_scores(later_ms, plan.now_ms)), None) is None:
        raise DataError(
            f"the store has no scored row since {format_instant(later_ms)}; nothing could judge a candidate"
        )
    labels = reader.labels(plan.since_ms, plan.now_ms)
    tell(f"reading rows since {format_instant(first_ms)}, and {len(labels)} labels")
    drawn = sample.draw(reader, labels, first_ms, later_ms, catalogue.feature_names, SEED)
    if drawn is None:
        raise DataError("the store has no scored row that could teach: all of them are newer than what would judge")
    tell(f"training on {len(drawn.table)} rows of {len(drawn.table.nodes)} nodes")
    model, card = _candidate(drawn, catalogue, plan)
    last_id, active = _active(models, catalogue)
    contest = Contest(Detector.parse(model, Path(card["version"]), catalogue.feature_names), active)
    tell(f"comparing {card['version']} with {contest.active.info.version}")
    verdict, told = _tried(contest, reader, catalogue, drawn, (later_ms, plan.now_ms), plan)
    version = registry.publish(
        models,
        catalogue,
        model,
        plan.now_ms,
        name=Path(card["version"]),
        parent=contest.active.info.version,
        labels=Counter(_kind(label) for label in drawn.labels),
        measures={
            "gate": {
                "promote": verdict.promote,
                "against": contest.active.info.version,
                "at": format_instant(plan.now_ms),
                "reasons": list(verdict.reasons),
                "compared": [line.card() for line in verdict.compared],
            },
            "feedback": told,
        },
    )
    promoted = plan.promote and verdict.promote
    if promoted:
        reason = verdict.reasons[0]
        try:
            registry.activate(
                models, catalogue, version.version, by=BY, reason=reason, now_ms=plan.now_ms, after_id=last_id
            )
        except Conflict as error:  # the verdict is of another active model
            tell(f"{version.version} stays a candidate: {error}")
            promoted = False
    return Outcome(version, verdict, promoted)


def _candidate(drawn: Sample, catalogue: Catalogue, plan: Plan) -> tuple[bytes, dict[str, Any]]:
    """The model's file and card."""
    attacks = recorded.of(catalogue, "train")
    taught = lessons.of(drawn, None if attacks is None else attacks.table)
    model, found = train.fit(
        taught.table,
        plan.detector,
        plan.false_alerts_per_node_day,
        "budget",
        typical=taught.typical,
        excused=taught.excused,
    )
    stored = taught.table.take(np.arange(len(drawn.table)))
    data = {"labels": len(drawn.labels), "recorded_rows": len(taught.table) - len(stored)} | train.describe_rows(stored)
    card = train.finish(model, plan.detector, plan.now_ms, found | {"data": data})
    return model.SerializeToString(), card


def _active(models: ModelStore, catalogue: Catalogue) -> tuple[int, Detector]:
    """The id of the log's last entry, 0 where there is none, and the model that is in use."""
    entries = models.activations(1)
    if not entries:
        return 0, registry.first_model(catalogue)
    return entries[0].id, registry.load(models, catalogue, entries[0].version)[0]


def _tried(
    contest: Contest,
    reader: RowReader,
    catalogue: Catalogue,
    drawn: Sample,
    later_ms: tuple[int, int],
    plan: Plan,
) -> tuple[Verdict, dict[str, Any]]:
    """The gate's verdict, and what feedback has changed, as JSON."""
    measures, told = trial.marked(contest, drawn)
    there = set(drawn.table.nodes)
    nodes = [id_ for id_, name in reader.nodes().items() if name in there]
    budget = plan.false_alerts_per_node_day
    measures += trial.later(contest, reader, *later_ms, nodes, drawn.table, budget)
    floors: list[gate.Floor] = []
    attacks = recorded.of(catalogue, "measure")
    if attacks is not None:
        first = registry.first_model(catalogue)
        replayed, floors = trial.replay(contest, first, attacks)
        measures = replayed + measures
    return gate.decide(measures, floors), {name: asdict(marked) for name, marked in told.items()}


def _kind(label: Label) -> str:
    return label.verdict or ("attack" if label.attack else "normal")
