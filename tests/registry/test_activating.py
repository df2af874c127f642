"""Which version is active: activated, rolled back to, and by whom."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver import registry
from receiver.errors import Conflict, DataError
from receiver.settings import Settings
from receiver.store import Activation, ModelStore
from receiver.store.embedded import EmbeddedModels
from tests.registry.versions import CATALOGUE, activate, publish, roll_back, started, states
from tests.store.data import T0


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


def test_a_version_that_there_is_not_is_not_activated(store: ModelStore) -> None:
    with pytest.raises(DataError, match="no such version"):
        activate(store, "v9")
    assert store.activations() == []


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


def test_whoever_has_not_seen_the_last_change_changes_nothing(store: ModelStore, tmp_path: Path) -> None:
    publish(store, tmp_path, "v1", "v2", "v3")
    seen = activate(store, "v1").id
    activate(store, "v2")
    with pytest.raises(Conflict, match="meanwhile ann has activated v2"):
        registry.activate(store, CATALOGUE, "v3", by="bob", reason="", now_ms=T0, after_id=seen)
    with pytest.raises(Conflict, match="meanwhile ann has activated v2"):
        registry.roll_back(store, CATALOGUE, by="bob", reason="", now_ms=T0, after_id=seen)
    assert store.activations()[-1].version == "v2"
    last = store.activations()[-1].id
    registry.roll_back(store, CATALOGUE, by="bob", reason="", now_ms=T0, after_id=last)
    assert store.activations()[-1].version == "v1"
