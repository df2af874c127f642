"""A pipeline on a store of its own, and what it leaves there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from receiver import catalogue
from receiver.catalogue import Catalogue
from receiver.columns import Rows
from receiver.detector import Detector
from receiver.exposition import Exposition, Snapshot
from receiver.handover import Handover
from receiver.pipeline import Pipeline
from receiver.recovery import recover
from receiver.settings import Settings
from receiver.store.embedded import EmbeddedStore
from tests import counting_model
from tests.wire.requests import NOW_MS, Series, series

CATALOGUE = catalogue.load()
STEP_MS = 10_000
DEADLINE_MS = 7000


@contextmanager
def running(
    folder: Path,
    now_ms: int = NOW_MS,
    *,
    wanted: Catalogue = CATALOGUE,
    handover: Handover | None = None,
    model: Path | None = None,
    **options: object,
) -> Iterator[Pipeline]:
    """A pipeline on the store in `folder`; leaving it without a checkpoint is what a crash does."""
    if model is None:
        model = folder / "model.onnx"
        if not model.exists():
            counting_model.write(model, wanted)
    detector = Detector.load(model, wanted.feature_names)
    exposition = Exposition(
        Snapshot.empty(wanted.feature_names, detector.info.version, detector.info.detector),
        staleness_seconds=300,
        top_features=5,
        contribution_floor=0.5,
        entity=wanted.name,
        clock=lambda: NOW_MS / 1000,
        version="test",
    )
    store = EmbeddedStore.open(folder / "store.sqlite", wanted, "normal")
    try:
        pipeline = Pipeline(Settings.model_validate(options), wanted, store, detector, exposition, handover)
        recover(pipeline, now_ms)
        yield pipeline
    finally:
        store.close()


def scrape(step: int, instance: str = "a:9100") -> list[Series]:
    """All series of one node at one time."""
    at = NOW_MS + step * STEP_MS
    return [
        series("node_load1", 1.0 + step, at, instance=instance),
        series("node_cpu_seconds_total", 100.0 + 5 * step, at, instance=instance, mode="idle", cpu="0"),
        series("node_cpu_seconds_total", 100.0 + 7 * step, at, instance=instance, mode="idle", cpu="1"),
        series("node_forks_total", 1000.0 + step * step, at, instance=instance),
    ]


def stored(folder: Path) -> tuple[list[list[float]], list[list[float]]]:
    """All rows and scores in the store, in order."""
    store = EmbeddedStore.open(folder / "store.sqlite", CATALOGUE)
    try:
        rows = Rows.joined(list(store.read_rows(0, 2**62)), len(CATALOGUE.feature_names))
        scores = list(store.read_scores(0, 2**62))
    finally:
        store.close()
    keyed = np.column_stack((rows.time_ms, rows.node, rows.raw, rows.x))
    scored = [np.column_stack((block.time_ms, block.node, block.score)) for block in scores]
    return keyed.tolist(), np.concatenate(scored).tolist() if scored else []
