"""Which version scores beside the active one."""

from __future__ import annotations

from pathlib import Path

import pytest

from receiver import registry
from receiver.errors import DataError
from receiver.store import ModelStore
from tests.registry.versions import CATALOGUE, activate, publish, roll_back, states
from tests.store.data import T0


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
