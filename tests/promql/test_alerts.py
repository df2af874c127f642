"""The shipped rules, by promtool's own unit tests: the cases stand in manifests/prometheus/tests."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from receiver.exposition import Metrics
from tests.servers import places

MANIFESTS = Path(__file__).parents[2] / "manifests" / "prometheus"
RULES = MANIFESTS / "alerts.yaml"


def promtool(*arguments: object) -> None:
    done = subprocess.run([places.path_of("promtool"), *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.real("promtool")
def test_promtool_finds_no_fault_in_the_rules() -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)


@pytest.mark.real("promtool")
@pytest.mark.parametrize("cases", sorted(MANIFESTS.glob("tests/*_test.yaml")), ids=lambda path: path.stem)
def test_the_rules_do_what_their_cases_say(cases: Path) -> None:
    promtool("test", "rules", cases)


def test_the_rules_ask_for_no_metric_that_the_service_does_not_expose() -> None:
    registry = CollectorRegistry()
    Metrics(registry, "0")
    families = list(registry.collect())
    exposed = {sample.name for family in families for sample in family.samples}
    exposed |= {family.name for family in families if family.type == "gauge"}  # of which nothing may be known yet
    asked = set(re.findall(r"\bnodescore_\w+", "\n".join(_expressions(RULES.read_text(encoding="utf-8")))))
    assert asked
    assert asked <= exposed


def _expressions(text: str) -> list[str]:
    return [rule["expr"] for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
