"""Versions of the model: what may be published, activated, rolled back to, and what a replica follows."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver import catalogue, registry
from receiver.detector import Detector
from receiver.errors import DataError, ModelError, StoreDamaged, StoreUnavailable
from receiver.follower import Follower
from receiver.settings import Settings
from receiver.store import Activation, ModelStore
from receiver.store.embedded_models import EmbeddedModels
from receiver.store.sqlite import PAGE_BYTES
from tests import counting_model
from tests.store.data import T0

CATALOGUE = catalogue.load()
OTHER = replace(CATALOGUE, features=CATALOGUE.features[:3])


def file(folder: Path, version: str, offset: float = 0.0) -> bytes:
    return counting_model.write(folder / f"{version}.onnx", CATALOGUE, version, offset=offset).read_bytes()


@pytest.fixture
def chosen(tmp_path: Path) -> Settings:
    return Settings.model_validate({"data_dir": tmp_path / "data"})


@pytest.fixture
def store(chosen: Settings) -> Iterator[ModelStore]:
    with registry.opened(chosen, CATALOGUE) as store:
        yield store


def publish(store: ModelStore, folder: Path, *versions: str) -> None:
    for version in versions:
        registry.publish(store, CATALOGUE, file(folder, version), T0, name=Path(version))


def activate(store: ModelStore, version: str) -> Activation:
    return registry.activate(store, CATALOGUE, version, by="ann", reason="better", now_ms=T0)


def roll_back(store: ModelStore) -> str:
    return registry.roll_back(store, CATALOGUE, by="bob", reason="worse", now_ms=T0).version


def states(store: ModelStore) -> dict[str, str]:
    return {version.version: state for version, state in registry.listed(store)}


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


def test_activating_retires_what_was_active(store: ModelStore, tmp_path: Path) -> None:
    publish(store, tmp_path, "v1", "v2", "v3")
    activate(store, "v1")
    entry = activate(store, "v2")
    assert (entry.before, entry.by, entry.reason) == ("v1", "ann", "better")
    assert states(store) == {"v1": "retired", "v2": "active", "v3": "candidate"}


def test_activating_what_is_active_adds_nothing_to_the_log(store: ModelStore, tmp_path: Path) -> None:
    publish(store, tmp_path, "v1")
    activate(store, "v1")
    activate(store, "v1")
    assert len(store.activations()) == 1


def cast(store: ModelStore, version: str) -> None:
    registry.shadow(store, CATALOGUE, version, by="ann", reason="to see", now_ms=T0)


def test_one_candidate_is_in_the_shadow_until_another_is_or_none(store: ModelStore, tmp_path: Path) -> None:
    publish(store, tmp_path, "v1", "v2", "v3")
    activate(store, "v1")
    cast(store, "v2")
    assert states(store) == {"v1": "active", "v2": "shadow", "v3": "candidate"}
    cast(store, "v3")
    assert states(store) == {"v1": "active", "v2": "candidate", "v3": "shadow"}
    with pytest.raises(DataError, match="model v2: does not score in the shadow"):
        registry.end_shadow(store, "v2", by="ann", reason="", now_ms=T0)
    registry.end_shadow(store, "v3", by="ann", reason="", now_ms=T0)
    assert states(store) == {"v1": "active", "v2": "candidate", "v3": "candidate"}


def test_a_version_that_was_activated_has_left_the_shadow_also_after_a_roll_back(
    store: ModelStore, tmp_path: Path
) -> None:
    publish(store, tmp_path, "v1", "v2")
    activate(store, "v1")
    cast(store, "v2")
    activate(store, "v2")
    assert roll_back(store) == "v1"
    assert states(store) == {"v1": "active", "v2": "retired"}
    cast(store, "v2")
    assert states(store) == {"v1": "active", "v2": "shadow"}


def test_what_is_active_or_not_there_casts_no_shadow(store: ModelStore, tmp_path: Path) -> None:
    publish(store, tmp_path, "v1")
    activate(store, "v1")
    with pytest.raises(DataError, match="model v1: is active"):
        cast(store, "v1")
    with pytest.raises(DataError, match="model v9: there is no such version"):
        cast(store, "v9")


def test_each_roll_back_goes_one_further_back(store: ModelStore, tmp_path: Path) -> None:
    publish(store, tmp_path, "v1", "v2", "v3")
    for version in ("v1", "v2", "v3"):
        activate(store, version)
    assert [roll_back(store), roll_back(store)] == ["v2", "v1"]
    with pytest.raises(DataError, match="no version to roll back to"):
        roll_back(store)
    activate(store, "v3")
    assert roll_back(store) == "v1"


@given(st.lists(st.sampled_from(["v1", "v2", "v3", "back"]), max_size=20))
def test_rolling_back_is_what_a_stack_does(course: list[str]) -> None:
    stack: list[str] = []
    log: list[Activation] = []
    for event in course:
        if event == "back" and len(stack) > 1:
            before = stack.pop()
            log.append(Activation(stack[-1], before, T0, "", "", rollback=True))
        elif event != "back" and stack[-1:] != [event]:
            log.append(Activation(event, (stack or [""])[-1], T0, "", "", rollback=False))
            stack.append(event)
    assert registry.trail(log) == stack


def test_a_version_that_there_is_not_is_not_activated(store: ModelStore) -> None:
    with pytest.raises(DataError, match="no such version"):
        activate(store, "v9")
    assert store.activations() == []


def damage(chosen: Settings, model: bytes) -> None:
    """Another file under the name and hash of v2."""
    connection = sqlite3.connect(chosen.models_path)
    with connection:
        connection.execute("UPDATE model_versions SET model = ? WHERE version = 'v2'", (model,))
    connection.close()


def test_a_file_that_has_changed_is_not_activated_and_the_active_one_stays(
    store: ModelStore, chosen: Settings, tmp_path: Path
) -> None:
    publish(store, tmp_path, "v1", "v2")
    activate(store, "v1")
    damage(chosen, file(tmp_path, "v3"))
    with pytest.raises(ModelError, match="another hash"):
        activate(store, "v2")
    assert states(store) == {"v1": "active", "v2": "candidate"}


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


class TestFollower:
    def test_a_first_start_takes_the_model_that_ships_and_makes_it_a_version(
        self, chosen: Settings, store: ModelStore
    ) -> None:
        follower = Follower(chosen, CATALOGUE)
        shipped = follower.first(T0).info.version
        assert states(store) == {shipped: "active"}
        assert follower.poll(T0) is None
        follower.close()

    def test_what_is_active_is_followed_until_it_is_taken(
        self, chosen: Settings, store: ModelStore, tmp_path: Path
    ) -> None:
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
        self, chosen: Settings, store: ModelStore, tmp_path: Path
    ) -> None:
        publish(store, tmp_path, "v1")
        activate(store, "v1")
        assert started(chosen) == "v1"

    def test_a_model_that_once_shipped_gives_way_to_the_one_that_ships_now(
        self, chosen: Settings, store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ships_now = started(chosen)
        file(tmp_path, "newer")
        with monkeypatch.context() as patched:
            patched.setattr(registry, "shipped_model", lambda: tmp_path / "newer.onnx")
            assert started(chosen) == "newer"
        assert started(chosen) == "newer"  # a replica that has not been updated yet
        assert states(store) == {ships_now: "retired", "newer": "active"}

    def test_a_bad_version_is_told_and_what_was_used_before_is_used_at_the_next_start_too(
        self, chosen: Settings, store: ModelStore, tmp_path: Path
    ) -> None:
        publish(store, tmp_path, "v1", "v2")
        activate(store, "v1")
        follower = Follower(chosen, CATALOGUE)
        follower.first(T0)
        activate(store, "v2")
        damage(chosen, b"broken")
        for _ in range(2):
            with pytest.raises(ModelError, match="another hash"):
                follower.poll(T0)
        follower.close()
        assert started(chosen) == "v1"
        roll_back(store)
        assert started(chosen) == "v1"

    def test_features_of_another_catalogue_are_refused(
        self, chosen: Settings, store: ModelStore, tmp_path: Path
    ) -> None:
        publish(store, tmp_path, "v1")
        activate(store, "v1")
        follower = Follower(chosen, OTHER)
        with pytest.raises(ModelError, match="features are not the catalogue's"):
            follower.poll(T0)
        follower.close()

    def test_a_replica_that_cannot_reach_the_store_starts_with_what_it_used_last(
        self, chosen: Settings, store: ModelStore, tmp_path: Path
    ) -> None:
        publish(store, tmp_path, "v1")
        activate(store, "v1")
        assert started(chosen) == "v1"
        follower = Follower(away(chosen), CATALOGUE)
        assert follower.first(T0).info.version == "v1"
        with pytest.raises(StoreUnavailable):
            follower.poll(T0)
        follower.close()

    def test_a_copy_that_has_changed_is_not_used(self, chosen: Settings, store: ModelStore, tmp_path: Path) -> None:
        publish(store, tmp_path, "v1")
        activate(store, "v1")
        started(chosen)
        (copy,) = (chosen.data_dir / "model-in-use").iterdir()
        copy.write_bytes(file(tmp_path, "v2"))
        assert started(away(chosen)) == Detector.load(registry.shipped_model()).info.version

    @pytest.mark.parametrize("kind", ["no database", "another program's", "cut off", "a lost page", "no text"])
    def test_a_damaged_file_of_versions_is_set_aside_and_the_model_that_was_used_last_is_active_again(
        self, chosen: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
    ) -> None:
        with used(chosen, tmp_path):
            pass
        size = break_file(chosen.models_path, kind)
        follower = Follower(chosen, CATALOGUE)
        assert follower.first(T0).info.version == "v1"
        assert follower.poll(T0) is None
        follower.close()
        with registry.opened(chosen, CATALOGUE) as store:
            shipped = Detector.load(registry.shipped_model()).info.version
            assert states(store) == {"v1": "active", shipped: "candidate"}
        assert started(chosen) == "v1"
        (aside,) = chosen.data_dir.glob("*.damaged-*")
        assert aside.stat().st_size == size
        assert f"set aside as {aside}" in caplog.text

    def test_a_file_that_is_damaged_while_it_is_followed_is_set_aside_once_and_the_model_in_use_stays(
        self, chosen: Settings, tmp_path: Path
    ) -> None:
        with used(chosen, tmp_path) as follower:
            follower.close()  # as after any error
            break_file(chosen.models_path, "no database")
            assert [follower.poll(T0), follower.poll(T0)] == [None, None]
            follower.close()
            break_file(chosen.models_path, "no database")
            with pytest.raises(StoreDamaged):
                follower.poll(T0)
        assert len(list(chosen.data_dir.glob("*.damaged-*"))) == 1


@contextmanager
def used(chosen: Settings, folder: Path) -> Iterator[Follower]:
    """A follower that has v1 in use."""
    with registry.opened(chosen, CATALOGUE) as store:
        publish(store, folder, "v1")
        activate(store, "v1")
    follower = Follower(chosen, CATALOGUE)
    assert follower.first(T0).info.version == "v1"
    yield follower
    follower.close()


def break_file(path: Path, kind: str) -> int:
    """Damage a file of versions that nobody has open; the bytes that it has then."""
    content = bytearray(path.read_bytes())
    match kind:
        case "no database":
            content[:] = b"not a database" * 1000
        case "another program's":
            content[68:72] = b"mine"
        case "cut off":
            del content[len(content) // 2 :]
        case "a lost page":
            content[2 * PAGE_BYTES : 3 * PAGE_BYTES] = bytes(PAGE_BYTES)
        case "no text":
            content[:] = content.replace(b'{"detector": "counting"', b'{"detector": "count\xff#g!')
    return path.write_bytes(content)


def away(chosen: Settings) -> Settings:
    """The same over a TimescaleDB that does not answer."""
    return Settings.model_validate({"data_dir": chosen.data_dir, "store": "postgresql://u@127.0.0.1:1/none"})


def started(chosen: Settings) -> str:
    """The version that a service would start with."""
    follower = Follower(chosen, CATALOGUE)
    try:
        return follower.first(T0).info.version
    finally:
        follower.close()


def _activate_and_die(chosen: Settings, statement: int) -> None:
    """Activate v2, and be killed before the statement of this number."""
    store = EmbeddedModels.open(chosen.models_path, CATALOGUE.name)
    run = iter(range(statement + 1))

    def count(_: str) -> None:
        if next(run, None) is None:
            os.kill(os.getpid(), 9)

    store._connection.set_trace_callback(count)
    registry.activate(store, CATALOGUE, "v2", by="ann", reason="", now_ms=T0)


@pytest.mark.parametrize("statement", range(8))
def test_killed_in_the_middle_of_an_activation_one_version_is_active(
    chosen: Settings, store: ModelStore, tmp_path: Path, statement: int
) -> None:
    publish(store, tmp_path, "v1", "v2")
    activate(store, "v1")
    process = multiprocessing.get_context("spawn").Process(target=_activate_and_die, args=(chosen, statement))
    process.start()
    process.join()
    assert sorted(states(store).values()) in (["active", "candidate"], ["active", "retired"])
    assert started(chosen) in ("v1", "v2")
    activate(store, "v2")
    assert roll_back(store) == "v1"


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(course=st.lists(st.sampled_from(["v1", "v2", "v3", "back"]), max_size=12))
def test_after_any_course_there_is_one_active_version_and_it_is_what_a_start_takes(
    tmp_path_factory: pytest.TempPathFactory, course: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("course")
    chosen = Settings.model_validate({"data_dir": folder / "data"})
    stack: list[str] = []
    with registry.opened(chosen, CATALOGUE) as store:
        publish(store, folder, "v1", "v2", "v3")
        for event in course:
            if event == "back":
                if len(stack) > 1:
                    stack.pop()
                    roll_back(store)
            elif stack[-1:] != [event]:
                activate(store, event)
                stack.append(event)
        active = [version for version, state in states(store).items() if state == "active"]
    assert active == stack[-1:]
    if stack:
        assert started(chosen) == stack[-1]
