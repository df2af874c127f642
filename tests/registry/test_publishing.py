"""What may be published, and which versions stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from receiver import registry
from receiver.errors import DataError, ModelError
from receiver.store import ModelStore
from tests.registry.versions import CATALOGUE, OTHER, activate, file, publish, roll_back, states
from tests.store.data import T0


def test_a_published_version_is_a_candidate_and_is_described_by_its_file(store: ModelStore, tmp_path: Path) -> None:
    model = file(tmp_path, "v1")
    version = registry.publish(
        store, CATALOGUE, model, T0, name=tmp_path, parent="v0", labels={"FP": 3}, measures={"recall": 1.0}
    )
    assert registry.listed(store) == [(version, "candidate")]
    assert version.card["features"] == list(CATALOGUE.feature_names)
    assert (version.parent, version.labels, version.measures) == ("v0", {"FP": 3}, {"recall": 1.0})
    assert store.model("v1") == model


def test_publishing_the_same_file_again_changes_nothing(store: ModelStore, tmp_path: Path) -> None:
    publish(store, tmp_path, "v1", "v1")
    assert states(store) == {"v1": "candidate"}


def test_another_file_of_the_same_name_is_refused(store: ModelStore, tmp_path: Path) -> None:
    publish(store, tmp_path, "v1")
    with pytest.raises(DataError, match="is there already"):
        registry.publish(store, CATALOGUE, file(tmp_path, "v1", offset=9.0), T0, name=tmp_path)


def test_a_file_that_breaks_the_contract_or_has_other_features_is_not_published(
    store: ModelStore, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="is not an ONNX file"):
        registry.publish(store, CATALOGUE, b"no model", T0, name=tmp_path)
    with pytest.raises(ModelError, match="features are not the catalogue's"):
        registry.publish(store, OTHER, file(tmp_path, "v1"), T0, name=tmp_path)
    assert registry.listed(store) == []


def test_over_the_limit_the_oldest_goes_but_none_that_a_roll_back_needs(
    store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "MAX_VERSIONS", 3)
    publish(store, tmp_path, "v1", "v2", "v3")
    activate(store, "v1")
    activate(store, "v3")
    publish(store, tmp_path, "v4", "v5")
    assert states(store) == {"v1": "retired", "v3": "active", "v5": "candidate"}
    assert roll_back(store) == "v1"
