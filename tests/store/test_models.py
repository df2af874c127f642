"""Versions of the model and the log of their activations: the same tests on SQLite and on a real TimescaleDB."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver.errors import ConfigurationError, DataError
from receiver.settings import MAX_MODEL_BYTES
from receiver.store import Activation, ModelStore, ModelVersion, Shadowing
from receiver.store.embedded import EmbeddedModels
from receiver.store.models import MAX_CARD_BYTES
from receiver.store.timescale import TimescaleModels
from tests.store.data import T0, catalogue_of

PUMPS = catalogue_of("flow")
FILE = b"\x00onnx\xff" * 5
VERSION = ModelVersion(
    version="pca-1",
    sha256="ab" * 32,
    size_bytes=len(FILE),
    card={"detector": "pca", "provenance": {"data": {"rows": 7}}},
    parent="",
    trained_from_ms=T0 - 5,
    trained_until_ms=T0,
    labels={"TP": 2},
    measures={"recall": 0.25, "reasons": ["better"]},
    created_ms=T0 + 1,
)
FIRST = Activation("pca-1", "", T0, "ann", "it is the first", rollback=False)
JSON = st.dictionaries(
    st.text(), st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5), max_size=5
)


@pytest.fixture
def embedded_models(tmp_path: Path) -> Iterator[ModelStore]:
    store = EmbeddedModels.open(tmp_path / "data" / "models.sqlite", PUMPS.name)
    yield store
    store.close()


@pytest.fixture
def timescale_models(timescale_dsn: str) -> Iterator[ModelStore]:
    store = TimescaleModels.connect(timescale_dsn, PUMPS)
    yield store
    store.close()


@pytest.fixture(params=["embedded_models", pytest.param("timescale_models", marks=pytest.mark.real("timescale"))])
def models(request: pytest.FixtureRequest) -> ModelStore:
    store: ModelStore = request.getfixturevalue(request.param)
    return store


def test_a_version_comes_back_as_it_was_added(models: ModelStore) -> None:
    models.add(VERSION, FILE)
    bare = replace(VERSION, version="pca-2", sha256="cd", trained_from_ms=None, trained_until_ms=None, parent="pca-1")
    models.add(bare, FILE)
    assert models.versions() == [VERSION, bare]
    assert models.model("pca-1") == FILE
    assert models.model("pca-9") is None


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(card=JSON, model=st.binary(max_size=100))
def test_any_card_and_any_bytes_come_back(models: ModelStore, card: dict[str, object], model: bytes) -> None:
    models.remove("pca-1")
    version = replace(VERSION, card=card, size_bytes=len(model))
    models.add(version, model)
    assert models.versions() == [version]
    assert models.model("pca-1") == model


@pytest.mark.parametrize("again", [{"sha256": "cd"}, {"version": "pca-2"}])
def test_a_version_is_added_once_by_its_name_and_by_its_hash(models: ModelStore, again: dict[str, str]) -> None:
    models.add(VERSION, FILE)
    with pytest.raises(DataError, match="is there already"):
        models.add(replace(VERSION, **again), b"another")  # type: ignore[arg-type]
    assert models.versions() == [VERSION]


def test_a_removed_version_is_gone_and_its_entries_stay(models: ModelStore) -> None:
    models.add(VERSION, FILE)
    assert models.append(FIRST, 0)
    models.remove("pca-1")
    assert models.versions() == []
    assert [entry.version for entry in models.activations()] == ["pca-1"]


def test_the_log_keeps_its_order_and_its_texts(models: ModelStore) -> None:
    assert models.append(FIRST, 0)
    (first,) = models.activations()
    back = Activation("pca-0", "pca-1", T0 + 1, "bob", "naïve 🦊", rollback=True)
    assert models.append(back, first.id)
    stored = models.activations()
    assert [replace(entry, id=0) for entry in stored] == [FIRST, back]
    assert stored[0].id < stored[1].id


def test_an_entry_that_comes_second_is_not_added(models: ModelStore) -> None:
    assert models.append(FIRST, 0)
    assert not models.append(FIRST, 0)
    assert len(models.activations()) == 1


def test_the_shadows_last_entry_comes_back(models: ModelStore) -> None:
    assert models.shadowing() is None
    for entry in (Shadowing("pca-1", T0, "ann", "naïve 🦊"), Shadowing("", T0 + 1, "bob", "")):
        models.append_shadowing(entry)
        found = models.shadowing()
        assert found is not None
        assert replace(found, id=0) == entry
    with pytest.raises(DataError, match="shadow: its author has a NUL"):
        models.append_shadowing(Shadowing("pca-1", T0, "\x00", ""))


def open_again(store: ModelStore, tmp_path: Path, dsn: str | None, catalogue: str = PUMPS.name) -> ModelStore:
    if isinstance(store, EmbeddedModels):
        return EmbeddedModels.open(tmp_path / "data" / "models.sqlite", catalogue)
    assert dsn is not None
    return TimescaleModels.connect(dsn, replace(PUMPS, name=catalogue))


def test_of_many_that_add_an_entry_at_once_one_does(
    models: ModelStore, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    dsn = request.getfixturevalue("timescale_dsn") if isinstance(models, TimescaleModels) else None
    stores = [open_again(models, tmp_path, dsn) for _ in range(4)]
    answers: list[bool] = []
    threads = [threading.Thread(target=lambda store=one: answers.append(store.append(FIRST, 0))) for one in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in stores:
        store.close()
    assert sorted(answers) == [False, False, False, True]


def test_one_trains_at_a_time(models: ModelStore, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    dsn = request.getfixturevalue("timescale_dsn") if isinstance(models, TimescaleModels) else None
    other = open_again(models, tmp_path, dsn)
    with models.training() as first, other.training() as second:
        assert (first, second) == (True, False)
    with other.training() as later:
        assert later
    other.close()


def test_models_of_two_catalogues_are_trained_at_once_over_one_database(timescale_dsn: str) -> None:
    of_pumps, of_fans = (TimescaleModels.connect(timescale_dsn, replace(PUMPS, name=name)) for name in ("pump", "fan"))
    with of_pumps.training() as first, of_fans.training() as second:
        assert (first, second) == (True, True)
    of_pumps.close()
    of_fans.close()


def test_each_catalogue_has_versions_and_a_log_of_its_own(
    models: ModelStore, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    models.add(VERSION, FILE)
    models.append(FIRST, 0)
    dsn = request.getfixturevalue("timescale_dsn") if isinstance(models, TimescaleModels) else None
    other = open_again(models, tmp_path, dsn, "fan")
    try:
        assert other.versions() == []
        assert other.activations() == []
        models.append_shadowing(Shadowing("pca-1", T0, "ann", ""))
        assert other.shadowing() is None
        other.add(VERSION, FILE)
        assert other.append(FIRST, 0)
    finally:
        other.close()
    assert models.versions() == [VERSION]
    assert len(models.activations()) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"version": ""},
        {"version": "v" * 201},
        {"version": "v\x00"},
        {"parent": "\ud800"},
        {"card": {"text": "x" * MAX_CARD_BYTES}},
        {"measures": {"recall": float("nan")}},
    ],
    ids=["no name", "long name", "NUL", "surrogate", "large card", "NaN"],
)
def test_what_a_store_may_not_take_is_refused(models: ModelStore, change: dict[str, object]) -> None:
    with pytest.raises(DataError):
        models.add(replace(VERSION, **change), FILE)  # type: ignore[arg-type]
    assert models.versions() == []


def test_a_model_that_is_too_large_is_refused(models: ModelStore) -> None:
    with pytest.raises(DataError, match="are allowed"):
        models.add(VERSION, bytes(MAX_MODEL_BYTES + 1))


def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "models.sqlite"
    EmbeddedModels.open(path, "pump").close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ConfigurationError, match="newer nodescore"):
        EmbeddedModels.open(path, "pump")
