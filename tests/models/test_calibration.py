"""That a budget of false alerts holds on nodes that were not trained on, where there is scatter to calibrate to."""

from __future__ import annotations

import numpy as np
import pytest

from models import threshold
from models.run import probe, run
from models.train import fit, nodes_of
from tests.models.nodes import table

# High enough to count forty in an hour and a half of twenty nodes.
ALERTS_PER_NODE_DAY = 24.0


@pytest.mark.parametrize("name", ["agreement", "isolation_forest"])
def test_realised_false_alerts_are_within_a_factor_of_three_of_those_asked_for(name: str) -> None:
    known = table(nodes=8, seconds=2 * 3600, step=10, busy_spread=2, seed=50)
    unseen = table(nodes=20, seconds=2 * 3600, step=10, busy_spread=2, seed=51)
    model, _ = fit(known, name, ALERTS_PER_NODE_DAY, "budget")
    nodes = nodes_of(unseen, run(probe(model), unseen).score.astype(np.float64))
    realised = threshold.count(nodes, 1.0) / threshold.node_days(nodes)
    assert 1 / 3 <= realised / ALERTS_PER_NODE_DAY <= 3


def test_a_feature_without_scatter_neither_pins_the_score_at_nothing_nor_blows_it_up() -> None:
    known = table(nodes=4, seconds=3600, step=10, seed=52)
    known.x[:, known.features.index("open_fds")] = 1000
    model = probe(fit(known, "agreement", 1.0, "budget")[0])
    moved = table(nodes=4, seconds=3600, step=10, seed=53)
    moved.x[:, moved.features.index("open_fds")] = 1000 + (np.arange(len(moved)) > len(moved) / 2)
    score = run(model, moved).score
    assert np.median(score) > 0
    assert score.max() < 2
