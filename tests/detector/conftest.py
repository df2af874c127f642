"""The model of `sum_model` as a file, and loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from receiver.detector import Detector
from tests.detector.sum_model import FEATURES, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "model.onnx")


@pytest.fixture
def detector(path: Path) -> Detector:
    return Detector.load(path, FEATURES)
