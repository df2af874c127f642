"""A version whose file has changed, and a file of versions that is damaged: the model in use stays."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from receiver import registry
from receiver.detector import Detector
from receiver.errors import ModelError, StoreDamaged
from receiver.follower import Follower
from receiver.settings import Settings
from receiver.store import ModelStore
from receiver.store.embedded.sqlite import PAGE_BYTES
from tests.registry.versions import CATALOGUE, activate, file, publish, roll_back, started, states
from tests.store.data import T0


def test_a_file_that_has_changed_is_not_activated_and_the_active_one_stays(
    store: ModelStore, chosen: Settings, tmp_path: Path
) -> None:
    publish(store, tmp_path, "v1", "v2")
    activate(store, "v1")
    damage(chosen, file(tmp_path, "v3"))
    with pytest.raises(ModelError, match="another hash"):
        activate(store, "v2")
    assert states(store) == {"v1": "active", "v2": "candidate"}


def test_a_bad_version_is_told_and_what_was_used_before_is_used_at_the_next_start_too(
    chosen: Settings, store: ModelStore, tmp_path: Path
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


def damage(chosen: Settings, model: bytes) -> None:
    """Another file under the name and hash of v2."""
    connection = sqlite3.connect(chosen.models_path)
    with connection:
        connection.execute("UPDATE model_versions SET model = ? WHERE version = 'v2'", (model,))
    connection.close()


@pytest.mark.parametrize("kind", ["no database", "another program's", "cut off", "a lost page", "no text"])
def test_a_damaged_file_of_versions_is_set_aside_and_the_model_that_was_used_last_is_active_again(
    chosen: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
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
    chosen: Settings, tmp_path: Path
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
