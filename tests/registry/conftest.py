"""A replica's settings, and the store of its versions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver import registry
from receiver.settings import Settings
from receiver.store import ModelStore
from tests.registry.versions import CATALOGUE


@pytest.fixture
def chosen(tmp_path: Path) -> Settings:
    return Settings.model_validate({"data_dir": tmp_path / "data"})


@pytest.fixture
def store(chosen: Settings) -> Iterator[ModelStore]:
    with registry.opened(chosen, CATALOGUE) as store:
        yield store
