"""What every model artifact of nodes must do, the shipped one included; and that what ships is whole."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import models
from models.run import run
from models.table import Table
from receiver.catalogue import load
from receiver.columns import Float32
from receiver.detector import Detector, StepResult
from receiver.registry import SHIPPED, shipped_model
from receiver.settings import SHIPPED_CATALOGUES, shipped_catalogue
from tests.models.applications import as_applications
from tests.models.nodes import FEATURES, table
from tests.models.trained import ALL, detector, trained

# The paper's, which knows one population and no node.
STATELESS = ("zscore", "robust_z")
# Of the features of the made-up nodes that detectors are trained on.
NEVER_MOVE = ("receive_drop", "receive_errs")
NEVER_SEEN = "lis_conn"


@pytest.fixture(
    params=[*ALL, *map(shipped_model, SHIPPED)], ids=lambda which: which if isinstance(which, str) else which.name
)
def model(request: pytest.FixtureRequest) -> Detector:
    return loaded(request.param)


@cache
def loaded(which: str | Path) -> Detector:
    return detector(which) if isinstance(which, str) else Detector.load(which)


def rows_for(model: Detector, **shape: Any) -> Table:
    """Made-up rows of what this model scores."""
    rows = table(**shape)
    return rows if model.info.feature_names == rows.features else as_applications(rows)


@pytest.fixture
def warm(model: Detector) -> tuple[Float32, Float32]:
    """Input and state of 40 nodes that have been watched for ten minutes."""
    x, state = watched(model)
    return x.copy(), state.copy()


@cache
def watched(model: Detector) -> tuple[Float32, Float32]:
    rows = rows_for(model, nodes=40, seconds=600, step=10, seed=5)
    x = rows.x.reshape(-1, 40, len(rows.features))
    state = np.tile(model.initial_state, (40, 1))
    for step in x:
        state = model.step(step, np.full(40, 10, np.float32), state).next_state
    return x[-1], state


def step(model: Detector, x: Float32, state: Float32, seconds: float = 10) -> StepResult:
    return model.step(x, np.full(len(x), seconds, np.float32), state)


def test_gives_the_same_for_the_same(model: Detector, warm: tuple[Float32, Float32]) -> None:
    one, other = step(model, *warm), step(model, *warm)
    assert np.array_equal(one.score, other.score)
    assert np.array_equal(one.next_state, other.next_state)


def test_leaves_its_input_as_it_was(model: Detector, warm: tuple[Float32, Float32]) -> None:
    x, state = warm
    before = x.copy(), state.copy()
    step(model, x, state)
    assert np.array_equal(x, before[0], equal_nan=True)
    assert np.array_equal(state, before[1])


def test_a_nodes_score_depends_on_no_other_node(model: Detector, warm: tuple[Float32, Float32]) -> None:
    x, state = warm
    together = step(model, x, state)
    for node in (0, 7, 39):
        alone = step(model, x[node : node + 1], state[node : node + 1])
        assert alone.score == pytest.approx(together.score[node : node + 1], rel=1e-5, abs=1e-7)
        assert alone.next_state[0] == pytest.approx(together.next_state[node], rel=1e-5, abs=1e-6)
    turned = step(model, x[::-1], state[::-1])
    assert turned.score[::-1] == pytest.approx(together.score, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, -1.0, 1e30, -1e30])
@pytest.mark.parametrize("seconds", [0.0, 0.001, 1.0, 1e6])
def test_stays_finite_whatever_comes(
    model: Detector, warm: tuple[Float32, Float32], value: float, seconds: float
) -> None:
    x, state = warm
    for _ in range(3):
        result = step(model, np.full_like(x, value), state, seconds)
        state = result.next_state
        assert np.isfinite(result.score).all()
        assert np.isfinite(state).all()
        assert (result.score >= 0).all()


def test_normal_nodes_that_it_never_saw_are_not_alarming(model: Detector) -> None:
    if model.info.detector in STATELESS or model in map(detector, STATELESS):
        pytest.skip("the paper's z-score knows one population only")
    score = run(model, rows_for(model, nodes=10, seconds=1800, step=10, seed=11)).score
    assert (score > 1).mean() < 0.01


def test_a_node_that_never_changes_is_not_alarming(model: Detector) -> None:
    if model in map(detector, STATELESS):
        pytest.skip("the paper's z-score knows one population only")
    rows = rows_for(model, nodes=3, seconds=3600, step=15, seed=3)
    x = np.tile(rows.x[:3], (len(rows) // 3, 1))
    still = type(rows)(rows.features, rows.nodes, rows.node, rows.time_ms, x, None, rows.time_text, rows.entity_columns)
    assert run(model, still).score.max() < 1


def test_a_missing_feature_alarms_nobody(model: Detector, warm: tuple[Float32, Float32]) -> None:
    x, state = warm
    calm = step(model, x, state).score < 0.7
    for feature in range(x.shape[1]):
        lacking = x.copy()
        lacking[:, feature] = np.nan
        assert (step(model, lacking, state).score[calm] < 1).all()


@pytest.mark.parametrize("name", ALL)
def test_features_that_never_move_do_not_hold_the_score_at_nothing(name: str) -> None:
    rows = table(nodes=5, seconds=1260, step=10, seed=12, attack=(1200, 1260))
    assert rows.attack is not None
    assert all((rows.x[:, FEATURES.index(still)] == 0).all() for still in NEVER_MOVE)
    score = run(detector(name), rows).score
    assert score[rows.attack].max() > np.quantile(score[~rows.attack], 0.9)


@pytest.mark.parametrize("still", NEVER_MOVE)
@pytest.mark.parametrize("name", ALL)
def test_the_least_step_of_a_feature_that_never_moved_alarms_nobody(name: str, still: str) -> None:
    if name in STATELESS:
        pytest.skip("the paper's z-score knows no scale for it, and takes any step for unusual")
    rows = table(nodes=5, seconds=1200, step=10, seed=12)
    before = run(detector(name), rows).score
    rows.x[-5 * 6 :, FEATURES.index(still)] = 0.01  # one packet in 100 s
    after = run(detector(name), rows).score
    assert ((after <= 1) | (before > 1)).all()


@pytest.mark.parametrize("name", ALL)
def test_a_feature_that_training_never_saw_says_nothing(name: str) -> None:
    rows = table(nodes=5, seconds=600, step=10, seed=12)
    with_it = run(detector(name), rows).score
    rows.x[:, FEATURES.index(NEVER_SEEN)] = 1e6
    assert np.array_equal(run(detector(name), rows).score, with_it)


def test_without_any_feature_nothing_is_alarming_for_long(model: Detector, warm: tuple[Float32, Float32]) -> None:
    x, state = warm
    for _ in range(60):
        result = step(model, np.full_like(x, np.nan), state)
        state = result.next_state
    assert (result.score < 1).all()


def test_an_attack_passes_the_threshold(model: Detector) -> None:
    if model in map(detector, STATELESS):
        pytest.skip("the paper's z-score knows one population only: what nodes differ by hides what an attack does")
    if model in map(detector, ("pca", "autoencoder")):
        pytest.skip("idle time and load fall and rise together on normal nodes too: these take that for known")
    if model in map(detector, ("isolation_forest", "agreement")):
        pytest.skip("such an attack moves three features of 24: too few for random cuts, and for an agreement")
    if model.info.path in map(shipped_model, ("application", "pod")):
        pytest.skip("CPU alone does not alarm it: builds take all of it on the applications that it knows")
    rows = rows_for(model, nodes=5, seconds=1260, step=2, seed=8, attack=(1200, 1260))
    score = run(model, rows).score
    assert rows.attack is not None
    assert (score[rows.attack].reshape(-1, 5).max(axis=0) > 1).all()


def test_contributions_are_of_the_score(model: Detector) -> None:
    rows = rows_for(model, nodes=5, seconds=660, step=2, seed=8, attack=(600, 660))
    rows.x[-30:, rows.features.index("disk_read") :] *= 100
    result = run(model, rows)
    over = result.score > 1
    assert over.any()
    assert (result.contribution[over] >= 0).all()
    assert result.contribution[over].sum(axis=1) == pytest.approx(result.score[over], rel=1e-3)


@pytest.mark.parametrize("name", ALL)
def test_metadata_says_what_the_graph_is(name: str) -> None:
    proto = trained(name)
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim][1:]
        for value in [*proto.graph.input, *proto.graph.output]
    }
    features = len(json.loads(metadata["nodescore.features"]))
    size = len(json.loads(metadata["nodescore.initial_state"]))
    assert shapes == {
        "x": [features],
        "elapsed_seconds": [],
        "state": [size],
        "score": [],
        "next_state": [size],
        "contribution": [features],
    }
    onnx.checker.check_model(proto, full_check=True)


def test_each_model_of_the_folder_ships_for_a_catalogue() -> None:
    folder = Path(models.__file__).parent / "shipped"
    assert {path.name for path in folder.glob("*.onnx")} == set(SHIPPED.values())


@pytest.mark.parametrize("name", SHIPPED_CATALOGUES)
def test_a_shipped_model_fits_its_catalogue_and_its_card(name: str) -> None:
    catalogue = load(shipped_catalogue(name))
    path = shipped_model(catalogue.name)
    info = Detector.load(path, catalogue.feature_names).info
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["version"] == info.version
    assert tuple(card["features"]) == info.feature_names
    assert card["provenance"] == info.provenance


def test_a_state_takes_little_memory(model: Detector) -> None:
    assert model.info.state_size * 4 <= 20 * 1024
