"""What a replica starts with, and what it follows."""

from __future__ import annotations

from pathlib import Path

import pytest

from receiver import registry
from receiver.detector import Detector
from receiver.errors import ModelError, StoreUnavailable
from receiver.follower import Follower
from receiver.settings import Settings
from receiver.store import ModelStore
from tests.registry.versions import CATALOGUE, OTHER, activate, file, publish, started, states
from tests.store.data import T0


def test_a_first_start_takes_the_model_that_ships_and_makes_it_a_version(chosen: Settings, store: ModelStore) -> None:
    follower = Follower(chosen, CATALOGUE)
    shipped = follower.first(T0).info.version
    assert states(store) == {shipped: "active"}
    assert follower.poll(T0) is None
    follower.close()


def test_what_is_active_is_followed_until_it_is_taken(chosen: Settings, store: ModelStore, tmp_path: Path) -> None:
    follower = Follower(chosen, CATALOGUE)
    follower.first(T0)
    publish(store, tmp_path, "v1")
    assert follower.poll(T0) is None
    activate(store, "v1")
    for _ in range(2):
        found = follower.poll(T0)
        assert found is not None
        assert found.info.version == "v1"
        last = found
    follower.taken(last)
    assert follower.poll(T0) is None
    follower.close()


def test_a_model_that_was_chosen_stays_when_another_one_ships(
    chosen: Settings, store: ModelStore, tmp_path: Path
) -> None:
    publish(store, tmp_path, "v1")
    activate(store, "v1")
    assert started(chosen) == "v1"


def test_a_model_that_once_shipped_gives_way_to_the_one_that_ships_now(
    chosen: Settings, store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ships_now = started(chosen)
    file(tmp_path, "newer")
    with monkeypatch.context() as patched:
        patched.setattr(registry, "shipped_model", lambda _catalogue: tmp_path / "newer.onnx")
        assert started(chosen) == "newer"
    assert started(chosen) == "newer"  # a replica that has not been updated yet
    assert states(store) == {ships_now: "retired", "newer": "active"}


def test_features_of_another_catalogue_are_refused(chosen: Settings, store: ModelStore, tmp_path: Path) -> None:
    publish(store, tmp_path, "v1")
    activate(store, "v1")
    follower = Follower(chosen, OTHER)
    with pytest.raises(ModelError, match="features are not the catalogue's"):
        follower.poll(T0)
    follower.close()


def test_a_replica_that_cannot_reach_the_store_starts_with_what_it_used_last(
    chosen: Settings, store: ModelStore, tmp_path: Path
) -> None:
    publish(store, tmp_path, "v1")
    activate(store, "v1")
    assert started(chosen) == "v1"
    follower = Follower(away(chosen), CATALOGUE)
    assert follower.first(T0).info.version == "v1"
    with pytest.raises(StoreUnavailable):
        follower.poll(T0)
    follower.close()


def test_a_copy_that_has_changed_is_not_used(chosen: Settings, store: ModelStore, tmp_path: Path) -> None:
    publish(store, tmp_path, "v1")
    activate(store, "v1")
    started(chosen)
    (copy,) = (chosen.data_dir / "model-in-use").iterdir()
    copy.write_bytes(file(tmp_path, "v2"))
    assert started(away(chosen)) == Detector.load(registry.shipped_model()).info.version


def away(chosen: Settings) -> Settings:
    """The same over a TimescaleDB that does not answer."""
    return Settings.model_validate({"data_dir": chosen.data_dir, "store": "postgresql://u@127.0.0.1:1/none"})


def test_a_copy_of_the_model_in_use_that_was_damaged_is_written_anew(
    chosen: Settings, store: ModelStore, tmp_path: Path
) -> None:
    publish(store, tmp_path, "v1")
    activate(store, "v1")
    assert started(chosen) == "v1"
    (copy,) = (chosen.data_dir / "model-in-use").iterdir()
    whole = copy.read_bytes()
    copy.write_bytes(whole[:-1])
    assert started(chosen) == "v1"
    assert copy.read_bytes() == whole
