"""What the benchmark of a step's cost measures."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from benchmarks.detection import cost
from models.run import probe
from receiver.columns import Float32
from receiver.detector import Detector, StepResult
from tests.models.nodes import FEATURES, table
from tests.models.trained import trained


def test_a_detector_is_trained_and_its_step_state_and_file_are_measured() -> None:
    found = cost.cost("zscore", table(nodes=3, seconds=3600, step=10), nodes=7, steps=4)
    assert found.name == "zscore"
    assert 0 <= found.step_ms <= found.worst_ms
    assert found.state_bytes == probe(trained("zscore")).initial_state.nbytes
    # The graph alone is smaller: the file says what the model was trained on.
    assert found.model_bytes > trained("zscore").ByteSize()


def test_every_step_carries_the_states_on_and_the_first_ones_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    detector = probe(trained("mean_z2"))
    given: list[tuple[Float32, Float32]] = []
    step = Detector.step

    def watched(self: Detector, x: Float32, elapsed: Float32, state: Float32) -> StepResult:
        result = step(self, x, elapsed, state)
        given.append((state, result.next_state))
        assert x.shape == (7, len(FEATURES))
        return result

    monkeypatch.setattr(Detector, "step", watched)
    taken_ms = cost.step_times_ms(detector, table(nodes=2, seconds=600), nodes=7, steps=4)
    assert (len(taken_ms), len(given)) == (4, 4 + cost.WARM_UP)
    for (_, left), (taken, _) in pairwise(given):
        np.testing.assert_array_equal(left, taken)


def test_the_table_has_a_line_for_each_detector_and_the_goal_of_the_default() -> None:
    lines = cost.report([cost.Cost("auto", 41.26, 55.0, 1440, 2_345_678)])
    assert lines[2:] == [
        "| auto | 41.3 / 55.0 | 1,440 | 2,345,678 |",
        "| goal for auto | ≤ 100 | ≤ 20,480 | |",
    ]
