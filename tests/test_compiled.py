"""What is compiled stays safe, and is found again by later processes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from receiver.columns import Int64
from receiver.compiled import _cache_folder, compiled


@compiled
def _element(values: Int64, index: int) -> int:
    return int(values[index])


def test_an_index_outside_of_its_array_raises() -> None:
    assert _element(np.array([5]), 0) == 5
    with pytest.raises(IndexError):
        _element(np.array([5]), 1)


def test_compiled_code_is_kept_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    folder = Path(_cache_folder())
    assert folder.parent == tmp_path
    assert folder.is_dir()
    assert str(folder) == _cache_folder()


def test_a_place_of_its_own_starts_with_what_an_image_brought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "image"))
    brought = Path(_cache_folder())
    (brought / "loop.nbc").write_bytes(b"machine code")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "scratch"))
    folder = Path(_cache_folder(shipped=brought.parent))
    assert folder == tmp_path / "scratch" / brought.name
    assert (folder / "loop.nbc").read_bytes() == b"machine code"
    (folder / "loop.nbc").write_bytes(b"newer")
    assert (Path(_cache_folder(shipped=brought.parent)) / "loop.nbc").read_bytes() == b"newer"


def test_nothing_is_kept_where_nothing_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(file))
    assert _cache_folder() == ""
