"""Nodes as applications and pods: their rules are what the catalogue asks for, and Prometheus takes them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from models.scenarios.applications import APPLICATIONS, PODS
from models.scenarios.attacks import KINDS
from models.scenarios.level import Level
from receiver import catalogue
from receiver.settings import shipped_catalogue
from tests.servers import places

# No exporter here says whether a control group was throttled.
NOT_RECORDED = "cpu_throttled_periods:ratio_rate1m"
BOTH = pytest.mark.parametrize("level", [APPLICATIONS, PODS], ids=lambda level: level.catalogue)


@BOTH
def test_the_rules_record_what_the_catalogue_asks_for(level: Level) -> None:
    wanted = catalogue.load(shipped_catalogue(level.catalogue))
    assert wanted.node_labels == (level.label,)
    assert set(level.rules) == set(wanted.terms_of_metric) - {f"{wanted.name}:{NOT_RECORDED}"}


@BOTH
@pytest.mark.real("promtool")
def test_prometheus_takes_the_rules(level: Level, tmp_path: Path) -> None:
    rules = [{"record": name, "expr": expression} for name, expression in level.rules.items()]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "application", "rules": rules}]}))
    command = [places.path_of("promtool"), "check", "rules", str(tmp_path / "rules.yml")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_applications_are_attacked_in_the_ways_that_nodes_are() -> None:
    assert set(APPLICATIONS.kinds) == set(KINDS)


def test_what_an_attack_moves_are_features_of_applications() -> None:
    features = set(catalogue.load(shipped_catalogue("application")).feature_names)
    assert {name for kind in APPLICATIONS.kinds.values() for name in kind.moves} <= features
