"""What a model says of the rows that it was trained on is what the service compares with."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.train import train
from receiver.detector import Detector
from receiver.drift import Drift
from tests.models.nodes import table, write_csv


def test_the_rows_of_the_training_have_no_drift_and_others_have(tmp_path: Path) -> None:
    rows = table(nodes=3, seconds=3600, step=5)
    write_csv(rows, tmp_path / "train.csv")
    train(tmp_path / "train.csv", tmp_path / "model.onnx", created_ms=0, detector="mean_z2")
    info = Detector.load(tmp_path / "model.onnx").info
    same, other = Drift(info), Drift(info)
    same.count(rows.x)
    other.count(rows.x * 3)
    assert same.indices() == pytest.approx(dict.fromkeys(rows.features, 0.0), abs=0.02)
    assert max(other.indices().values()) > 0.25
