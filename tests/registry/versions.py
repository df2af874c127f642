"""What the tests of the registry have in common: versions by name, and short ways of saying what is done with them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from receiver import catalogue, registry
from receiver.follower import Follower
from receiver.settings import Settings
from receiver.store import Activation, ModelStore
from tests import counting_model
from tests.store.data import T0

CATALOGUE = catalogue.load()
OTHER = replace(CATALOGUE, features=CATALOGUE.features[:3])


def file(folder: Path, version: str, offset: float = 0.0) -> bytes:
    return counting_model.write(folder / f"{version}.onnx", CATALOGUE, version, offset=offset).read_bytes()


def publish(store: ModelStore, folder: Path, *versions: str) -> None:
    for version in versions:
        registry.publish(store, CATALOGUE, file(folder, version), T0, name=Path(version))


def activate(store: ModelStore, version: str) -> Activation:
    return registry.activate(store, CATALOGUE, version, by="ann", reason="better", now_ms=T0)


def roll_back(store: ModelStore) -> str:
    return registry.roll_back(store, CATALOGUE, by="bob", reason="worse", now_ms=T0).version


def states(store: ModelStore) -> dict[str, str]:
    return {version.version: state for version, state in registry.listed(store)}


def started(chosen: Settings) -> str:
    """The version that a service would start with."""
    follower = Follower(chosen, CATALOGUE)
    try:
        return follower.first(T0).info.version
    finally:
        follower.close()
