"""Nodes as applications: their rules are what the catalogue asks for, and Prometheus takes them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from models.scenarios.applications import APPLICATIONS, RULES
from models.scenarios.attacks import KINDS
from receiver import catalogue
from receiver.settings import shipped_catalogue
from tests.servers import places

# No exporter here says whether a control group was throttled.
NOT_RECORDED = {"application:cpu_throttled_periods:ratio_rate1m"}


def test_the_rules_record_what_the_catalogue_asks_for() -> None:
    wanted = catalogue.load(shipped_catalogue("application")).terms_of_metric
    assert set(RULES) == set(wanted) - NOT_RECORDED


@pytest.mark.real("promtool")
def test_prometheus_takes_the_rules(tmp_path: Path) -> None:
    rules = [{"record": name, "expr": expression} for name, expression in RULES.items()]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "application", "rules": rules}]}))
    command = [places.path_of("promtool"), "check", "rules", str(tmp_path / "rules.yml")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_applications_are_attacked_in_the_ways_that_nodes_are() -> None:
    assert set(APPLICATIONS.kinds) == set(KINDS)


def test_what_an_attack_moves_are_features_of_applications() -> None:
    features = set(catalogue.load(shipped_catalogue("application")).feature_names)
    assert {name for kind in APPLICATIONS.kinds.values() for name in kind.moves} <= features
