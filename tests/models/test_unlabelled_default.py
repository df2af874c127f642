"""What the default does without labels: two measures of the same deviations, which count alike."""

from __future__ import annotations

import numpy as np
import pytest

from models.detectors import auto, autoencoder, deviations, mean_z2
from models.detectors.deviations import HALF_LIVES_SECONDS, Prior
from models.detectors.unlabelled import measured
from receiver.columns import Float32
from tests.models.nodes import table

ROWS = 2000


@pytest.fixture(scope="module")
def prior() -> Prior:
    return deviations.fit(table(nodes=2, seconds=900))


@pytest.fixture(scope="module")
def usual(prior: Prior) -> Float32:
    """Harmful deviations [R, H, F] of rows in which the first two features move together, and the others alone."""
    random = np.random.default_rng(0)
    features = np.abs(random.normal(size=(ROWS, 1, len(prior.names))))
    features[:, :, :2] = 2 * np.abs(random.normal(size=(ROWS, 1, 1)))
    return np.repeat(features, len(HALF_LIVES_SECONDS), axis=1).astype(np.float32)


def test_each_measure_counts_as_a_part_of_what_one_row_in_a_hundred_goes_beyond(prior: Prior, usual: Float32) -> None:
    parts = []
    for detector in (mean_z2, autoencoder):
        found = measured(detector.measure(prior, usual), usual)
        parts.append(found / max(np.quantile(found, 0.99), detector.LEAST_THRESHOLD))
    assert measured(auto.measure(prior, usual), usual) == pytest.approx(np.mean(parts, axis=0), rel=1e-4)


def test_a_measure_that_hardly_ever_moves_counts_as_a_part_of_its_least_threshold(prior: Prior, usual: Float32) -> None:
    calm = np.zeros_like(usual)
    alarming = np.full_like(usual[:1], np.sqrt(mean_z2.LEAST_THRESHOLD))
    by_squares = 1 / 2  # the mean of 1 and of what the network says
    assert measured(auto.measure(prior, calm), alarming)[0] >= by_squares
    assert measured(auto.measure(prior, calm), calm).max() < 0.01


def test_features_apart_that_always_moved_together_are_more_unusual_than_together(prior: Prior, usual: Float32) -> None:
    together, apart = np.zeros_like(usual[:1]), np.zeros_like(usual[:1])
    together[:, :, :2] = 5.0
    apart[:, :, 0] = np.sqrt(2) * 5.0
    squares, both = (
        measured(detector.measure(prior, usual), np.concatenate([together, apart])) for detector in (mean_z2, auto)
    )
    assert squares[1] == pytest.approx(squares[0], rel=1e-5)
    assert both[1] > 1.05 * both[0]
