"""From a store with labels to a version in the registry: tried, promoted or refused, and why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from models.retraining.gate import Verdict
from models.retraining.run import Outcome, Plan, retrain
from models.scenarios import dataset, known
from models.scenarios.known import Known
from models.table import Table
from receiver import registry
from receiver.catalogue import load
from receiver.detector import Detector
from receiver.errors import DataError
from receiver.settings import Settings
from receiver.store import Label, ModelStore
from receiver.store.embedded import EmbeddedReader
from tests import counting_model
from tests.models.stored_rows import fill

CATALOGUE = load()


@pytest.fixture(scope="module")
def recordings() -> Known:
    found = known.read("measure", CATALOGUE.feature_names, dataset.sessions())
    assert found is not None
    return found


@pytest.fixture(scope="module")
def settings(recordings: Known, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A store with nodes that were attacked, scored by the model that ships."""
    folder = tmp_path_factory.mktemp("store")
    fill(folder, recordings.table, Detector.load(registry.shipped_model()))
    return Settings.model_validate({"data_dir": folder})


@pytest.fixture
def models(tmp_path: Path, settings: Settings) -> Iterator[ModelStore]:
    with registry.opened(settings.model_copy(update={"data_dir": tmp_path}), CATALOGUE) as store:
        registry.offer_shipped(store, CATALOGUE, 1)
        yield store


@pytest.fixture
def reader(settings: Settings) -> Iterator[EmbeddedReader]:
    found = EmbeddedReader.open(settings.embedded_path, CATALOGUE)
    yield found
    found.close()


def span(table: Table) -> tuple[int, int]:
    return int(table.time_ms.min()), int(table.time_ms.max()) + 1


def retrained(
    reader: EmbeddedReader, models: ModelStore, table: Table, labels: list[Label], detector: str, promote: bool = True
) -> Outcome:
    since_ms, now_ms = span(table)
    for label in labels:
        reader.add_label(label)
    told: list[str] = []
    outcome = retrain(reader, models, CATALOGUE, Plan(since_ms, now_ms, detector, promote=promote), told.append)
    assert [line.split()[0] for line in told] == ["reading", "training", "comparing"]
    return outcome


def test_labels_that_say_the_opposite_make_a_candidate_that_is_refused_with_the_reason(
    reader: EmbeddedReader, models: ModelStore, recordings: Known
) -> None:
    # Every attack of the store is called a false alarm, and quiet minutes before every second one an attack.
    table = recordings.table
    wrong = [
        Label(table.nodes[node], attack.start_ms, attack.end_ms, False, "FP", "", "mallory", attack.end_ms)
        for node, attack in recordings.attacks
    ]
    calm_ms = 300_000
    wrong += [
        Label(label.name, label.start_ms - 2 * calm_ms, label.start_ms - calm_ms, True, "FN", "", "mallory", 1)
        for label in wrong[::2]
    ]
    outcome = retrained(reader, models, table, wrong, "gradient_boosting")
    assert not outcome.verdict.promote
    assert not outcome.promoted
    assert any("recorded attacks raised within 60 s" in reason for reason in outcome.verdict.reasons)
    (shipped,) = [one for one in registry.listed(models) if one.state == "active"]
    assert shipped.version.version == outcome.version.parent
    assert outcome.version.measures["gate"]["reasons"] == list(outcome.verdict.reasons)
    assert outcome.version.labels["FP"] == len(recordings.attacks)


def test_a_verdict_against_a_model_that_is_no_longer_active_promotes_nothing(
    reader: EmbeddedReader, models: ModelStore, recordings: Known, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.retraining.gate.decide", lambda *_: Verdict(True, (), ("as good",)))
    other = counting_model.write(tmp_path / "other.onnx", CATALOGUE, "other")
    registry.publish(models, CATALOGUE, other.read_bytes(), 2, name=other)
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        if line.startswith("comparing"):
            registry.activate(models, CATALOGUE, "other", by="ann", reason="", now_ms=3)

    outcome = retrain(reader, models, CATALOGUE, Plan(*span(recordings.table), "zscore"), tell)
    assert not outcome.promoted
    assert "stays a candidate: meanwhile ann has activated other" in told[-1]
    assert models.activations()[-1].version == "other"


def test_without_later_rows_nothing_is_trained(reader: EmbeddedReader, models: ModelStore, recordings: Known) -> None:
    since_ms, until_ms = span(recordings.table)
    plan = Plan(since_ms, until_ms + 3 * 86_400_000)
    with pytest.raises(DataError, match="nothing could judge a candidate"):
        retrain(reader, models, CATALOGUE, plan, lambda _: None)
