"""When a service has the model trained anew, and what becomes of it."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from models.detectors import zscore
from models.own_threshold import Alarm
from models.run import probe
from receiver import registry, retraining
from receiver.catalogue import load
from receiver.columns import NodeName
from receiver.exposition import Metrics
from receiver.retraining import DAY_MS, RETRY_MS, Retraining
from receiver.settings import Settings
from receiver.store import Label
from receiver.store.embedded import EmbeddedReader
from tests import counting_model
from tests.models.nodes import START_MS, table
from tests.models.stored_rows import fill

CATALOGUE = load()
END_MS = START_MS + 3_600_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store with an hour of two nodes, whose first model was taken at its end."""
    rows = table(nodes=2, seconds=3600, step=60)
    fill(tmp_path, rows, probe(zscore.fit(rows).at(Alarm(5.0))))
    model = counting_model.write(tmp_path / "first.onnx", CATALOGUE, "first")
    with registry.opened(settings(tmp_path), CATALOGUE) as store:
        registry.publish(store, CATALOGUE, model.read_bytes(), END_MS, name=model)
        registry.activate(store, CATALOGUE, "first", by="ann", reason="", now_ms=END_MS)
    return tmp_path


def settings(folder: Path, **chosen: Any) -> Settings:
    return Settings.model_validate({"data_dir": folder, **chosen})


def of(folder: Path, **chosen: Any) -> Retraining:
    found = settings(folder, **chosen)
    return Retraining(
        found, CATALOGUE, lambda: EmbeddedReader.open(found.embedded_path, CATALOGUE), Metrics(CollectorRegistry(), "")
    )


def say(folder: Path, labels: int, at_ms: int = END_MS + 1) -> None:
    reader = EmbeddedReader.open(settings(folder).embedded_path, CATALOGUE)
    for number in range(labels):
        start_ms = START_MS + number * 60_000
        reader.add_label(Label(NodeName("", "node-0"), start_ms, start_ms, False, "FP", "", "ann", at_ms))
    reader.close()


def test_the_model_is_trained_anew_when_the_last_time_is_long_ago(folder: Path) -> None:
    weekly = of(folder, retrain_every_days=7)
    assert weekly.due(END_MS + 7 * DAY_MS - 1) == ""
    assert weekly.due(END_MS + 7 * DAY_MS) == "the last time was 7 days ago"


def test_the_model_is_trained_anew_when_there_are_enough_new_labels(folder: Path) -> None:
    eager = of(folder, retrain_every_days=0, retrain_after_labels=3)
    say(folder, 5, at_ms=END_MS - 1)  # the model knew these
    say(folder, 2)
    assert eager.due(END_MS + 2) == ""
    say(folder, 3)
    assert eager.due(END_MS + 2) == "3 labels are new"


def test_nothing_is_due_where_no_model_was_taken_yet(tmp_path: Path) -> None:
    assert of(tmp_path).due(END_MS) == ""


@pytest.mark.parametrize("chosen", [{"retrain_every_days": 0, "retrain_after_labels": 0}, {"model": "fixed.onnx"}])
def test_nothing_is_trained_where_nobody_asks_for_it_or_the_model_is_fixed(tmp_path: Path, chosen: Any) -> None:
    assert not of(tmp_path, **chosen).wanted


def test_what_training_needs_is_named_once_where_it_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(retraining, "NEEDED", ("no_such_module",))
    with caplog.at_level(logging.INFO):
        of(tmp_path).run(lambda: END_MS)
    assert "pip install 'nodescore[train]'" in caplog.text


def test_a_training_that_fails_is_told_counted_and_not_tried_again_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # By the wall clock, which the command goes by, the store's rows are in the future: it has nothing to learn from.
    monkeypatch.setattr(retraining, "LOOK_SECONDS", 0)
    found = settings(folder)
    metrics = Metrics(CollectorRegistry(), "")
    runs = Retraining(found, CATALOGUE, lambda: EmbeddedReader.open(found.embedded_path, CATALOGUE), metrics)
    failed = threading.Event()
    monkeypatch.setattr(metrics.retrainings["failed"], "inc", failed.set)
    late_ms = END_MS + 8 * DAY_MS
    thread = threading.Thread(target=runs.run, args=[lambda: late_ms])
    with caplog.at_level(logging.INFO):
        thread.start()
        assert failed.wait(120)
        runs.stop()
        thread.join()
    assert "retrain: nodescore: the store has no scored row since" in caplog.text
    assert runs.due(late_ms + RETRY_MS - 1) == ""
    assert runs.due(late_ms + RETRY_MS) != ""
