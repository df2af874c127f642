"""A service that holds what a test puts into it: the `Service` protocol without a pipeline behind."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from models.alerts import find
from receiver.alerts import CLEAR_ROWS
from receiver.catalogue import Catalogue, load
from receiver.columns import Float32, NodeName, Rows, Scores
from receiver.errors import NodescoreError, StoreUnavailable
from receiver.exposition import Exposition, Snapshot
from receiver.feedback import Feedback
from receiver.health import Component
from receiver.muting import Mutes
from receiver.registry import Listed
from receiver.settings import Settings
from receiver.store import Activation, Finished, RowReader, Shadowing
from receiver.store.embedded import EmbeddedReader, EmbeddedStore

NOW_MS = 1_795_161_600_000  # 2026-11-20T08:00:00Z
STEP_MS = 10_000
FEATURES = load().feature_names


def no_store() -> RowReader:
    raise StoreUnavailable("this test has no store")


@dataclass
class HeldService:
    """Nodes with their scores every ten seconds up to `NOW_MS`; the last one is the node's score."""

    scores: dict[NodeName, list[float]]
    catalogue: Catalogue = field(default_factory=load)
    settings: Settings = field(default_factory=lambda: Settings.model_validate({}))
    components: list[Component] = field(default_factory=list)
    reload_error: NodescoreError | None = None
    history_error: NodescoreError | None = None
    reloads: int = 0
    listed: list[Listed] = field(default_factory=list)
    model_error: NodescoreError | None = None
    feedback: Feedback = field(default_factory=lambda: Feedback(no_store))
    mutes: Mutes = field(default_factory=lambda: Mutes(no_store))
    shadowings: list[tuple[str, str, str]] = field(default_factory=list)  # what, by, reason
    entered: list[Activation] = field(default_factory=list)
    after_id: int | None = None  # what the last change was told

    def __post_init__(self) -> None:
        names = tuple(self.scores)
        last = np.array([scores[-1] for scores in self.scores.values()], np.float32)
        contribution = np.tile(np.linspace(0.4, 0.0, len(FEATURES), dtype=np.float32), (len(names), 1))
        snapshot = replace(
            Snapshot.empty(FEATURES, "2026-11-01", "pca"),
            node=np.arange(len(names), dtype=np.int32),
            names=names,
            time_ms=np.full(len(names), NOW_MS - 2_000),
            score=last,
            contribution=contribution,
            over_since_ms=np.where(last > 1, NOW_MS - 2_000, 0),
            last_over=np.zeros(len(names), np.int64),
            raised_ms=np.array([_raised_ms(scores) for scores in self.scores.values()], np.int64),
        )
        self.exposition = Exposition(
            snapshot,
            staleness_seconds=300.0,
            top_features=5,
            contribution_floor=0.5,
            entity="node",
            clock=lambda: NOW_MS / 1000,
            version="1.2.3",
        )

    def silence(self, name: NodeName, for_ms: int) -> None:
        """The node's last row was that long ago."""
        snapshot = self.exposition.snapshot
        time_ms = snapshot.time_ms.copy()
        time_ms[snapshot.names.index(name)] = NOW_MS - for_ms
        self.exposition.show(replace(snapshot, time_ms=time_ms))

    def now_ms(self) -> int:
        return NOW_MS

    def status(self) -> list[Component]:
        return self.components

    def reload(self) -> str:
        if self.reload_error:
            raise self.reload_error
        self.reloads += 1
        return "model 2026-11-01 loaded"

    def models(self) -> list[Listed]:
        return self.listed

    def activations(self) -> list[Activation]:
        return self.entered

    def activate_model(self, version: str, by: str, reason: str, after_id: int | None = None) -> Activation:
        return self._enter(Activation(version, "pca-1", NOW_MS, by, reason, rollback=False), after_id)

    def roll_back_model(self, by: str, reason: str, after_id: int | None = None) -> Activation:
        return self._enter(Activation("pca-1", "pca-2", NOW_MS, by, reason, rollback=True), after_id)

    def shadow_model(self, version: str, by: str, reason: str) -> Shadowing:
        if self.model_error:
            raise self.model_error
        self.shadowings.append((f"{version} begins", by, reason))
        return Shadowing(version, NOW_MS, by, reason)

    def end_shadow(self, version: str, by: str, reason: str) -> Shadowing:
        if self.model_error:
            raise self.model_error
        self.shadowings.append((f"{version} ends", by, reason))
        return Shadowing("", NOW_MS, by, reason)

    def _enter(self, entry: Activation, after_id: int | None) -> Activation:
        if self.model_error:
            raise self.model_error
        self.after_id = after_id
        entry = replace(entry, id=len(self.entered) + 1)
        self.entered.append(entry)
        return entry

    def history(self, since_ms: int, until_ms: int, nodes: Sequence[int]) -> Scores:
        if self.history_error:
            raise self.history_error
        all_scores = list(self.scores.values())
        blocks = [(node, np.array(all_scores[node], np.float32)) for node in nodes]
        node = np.concatenate([np.full(len(score), n, np.int32) for n, score in blocks] or [np.empty(0, np.int32)])
        time_ms = np.concatenate(
            [NOW_MS - 2_000 - STEP_MS * np.arange(len(score))[::-1] for _, score in blocks] or [np.empty(0, np.int64)]
        ).astype(np.int64)
        score = np.concatenate([score for _, score in blocks] or [np.empty(0, np.float32)])
        kept = np.flatnonzero((time_ms >= since_ms) & (time_ms < until_ms))
        kept = kept[np.argsort(time_ms[kept], kind="stable")]
        nothing: Float32 = np.full((len(kept), len(FEATURES)), np.nan, np.float32)
        return Scores(node[kept], time_ms[kept], score[kept], nothing, nothing)


def _raised_ms(scores: list[float]) -> int:
    """When the alert of these scores was raised; 0 where they leave none open."""
    found = find(np.array(scores))
    if not len(found) or len(scores) - 1 - found.last[-1] >= CLEAR_ROWS:
        return 0
    return int(NOW_MS - 2_000 - STEP_MS * (len(scores) - 1 - found.raised[-1]))


def fleet(count: int, attacked: int = 2, rows: int = 90) -> HeldService:
    """Nodes that wander below the threshold; the first ones were attacked 3 min ago."""
    random = np.random.default_rng(7)
    scores = {}
    for node in range(count):
        walk = np.abs(0.25 + 0.15 * np.sin(np.arange(rows) / 9 + node) + random.normal(0, 0.06, rows))
        if node < attacked:
            walk[-18:] += np.linspace(0.8, 2.6 - node * 0.8, 18)
        scores[NodeName("prod-eu", f"ip-10-0-{node // 256}-{node % 256}.eu-central-1.compute.internal")] = walk.tolist()
    return HeldService(scores)


def stored(service: HeldService, folder: Path, contribution: float = 0.25) -> HeldService:
    """The service with its scores in a real file, where labels can be kept; each feature adds as much."""
    path = folder / "nodescore.sqlite"
    store = EmbeddedStore.open(path, service.catalogue)
    store.add_nodes(dict(enumerate(service.scores)))
    scores = service.history(0, NOW_MS, range(len(service.scores)))
    x = np.tile(np.arange(len(FEATURES), dtype=np.float32), (len(scores), 1))
    whole = replace(scores, x=x, contribution=np.full_like(x, contribution))
    store.write(Finished(Rows.empty(len(FEATURES)), Rows.empty(len(FEATURES)), whole, "pca-1", 0))
    store.close()
    service.feedback = Feedback(lambda: EmbeddedReader.open(path, service.catalogue))
    service.mutes = Mutes(lambda: EmbeddedReader.open(path, service.catalogue), show=service.exposition.show_mutes)
    return service
