"""The images of the tests, made once in a run, and found again by their layers in the next.

Making them takes minutes where nothing is there yet, so `make cluster` runs the tests that need them, and `make test`
leaves these out.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.manifests import engine as engines
from tests.manifests.engine import Engine
from tests.manifests.rendered import objects, pod_template, workloads

CLUSTER_VARIABLE = "TEST_CLUSTER"
collect_ignore = [] if os.environ.get(CLUSTER_VARIABLE) else ["test_image.py", "test_cluster.py", "test_compose.py"]

OURS = "registry.example/nodescore"
OURS_TO_TRAIN = "registry.example/nodescore-train"


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The one that serves, under the name that the manifests have for it."""
    return _ours("serve", OURS, tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="session")
def train_image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The one that trains."""
    return _ours("train", OURS_TO_TRAIN, tmp_path_factory.mktemp("train-image"))


@pytest.fixture(scope="session")
def images(image: str, tmp_path_factory: pytest.TempPathFactory) -> frozenset[str]:
    """Those of the overlay `complete`, but for the training's."""
    folder = tmp_path_factory.mktemp("images")
    engine = Engine(folder)
    timescale = _named("docker.io/timescale/timescaledb")
    engines.make_timescaledb(engine, folder, timescale)
    programs = {
        _named("quay.io/prometheus/prometheus"): "prometheus",
        _named("quay.io/prometheus/alertmanager"): "alertmanager",
        _named("quay.io/prometheus/node-exporter"): "node_exporter",
    }
    for name, program in programs.items():
        engines.make_program(engine, folder, name, program)
    return frozenset((image, timescale, *programs))


def _ours(target: str, repository: str, folder: Path) -> str:
    name = _named(repository)
    engines.make_ours(Engine(folder), folder, target, name)
    return name


def _named(repository: str) -> str:
    """With its tag, as rendered."""
    used: set[str] = {
        container["image"]
        for workload in workloads(objects("overlays/complete"))
        for container in pod_template(workload)["spec"]["containers"]
    }
    (name,) = [each for each in used if each.rpartition(":")[0] == repository]
    return name
