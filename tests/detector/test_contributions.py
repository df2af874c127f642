"""What each feature adds to a score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from receiver.detector import Detector
from tests.detector.sum_model import FEATURES, sum_graph, write


def step(detector: Detector, x: list[list[float]]) -> Any:
    state = np.tile(detector.initial_state, (len(x), 1))
    return detector.step(np.array(x, np.float32), np.zeros(len(x), np.float32), state)


def test_are_the_graphs_where_it_has_them(tmp_path: Path) -> None:
    detector = Detector.load(write(tmp_path / "m.onnx", sum_graph(explained=True)), FEATURES)
    assert step(detector, [[0.1, 0.2, np.nan]]).contribution.tolist() == [[np.float32(0.1), np.float32(0.2), 0]]


def test_are_computed_for_rows_over_the_threshold_only(detector: Detector) -> None:
    contribution = step(detector, [[0.1, 0.2, 0.3], [3.0, 1.0, 0.0]]).contribution
    assert np.isnan(contribution[0]).all()
    assert contribution[1].tolist() == [3.0, 1.0, 0.0]


def test_sum_to_the_score(detector: Detector) -> None:
    result = step(detector, [[5.0, np.nan, 2.5]])
    assert result.contribution.sum() == pytest.approx(result.score[0])
    assert result.contribution[0, 1] == 0
