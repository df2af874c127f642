"""The shipped rules, by promtool's own unit tests: the cases stand in manifests/prometheus/tests."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from manifests.levels import LEVELS, NODE_ALERTS, PROMETHEUS
from receiver.exposition import Metrics
from tests.servers import places

RULES = [NODE_ALERTS, *(path for level in LEVELS for path in (level.alerts, level.rules))]
RUNBOOKS = "https://github.com/nodescore/nodescore/blob/main/docs/runbooks.md"


def promtool(*arguments: object) -> None:
    done = subprocess.run([places.path_of("promtool"), *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.real("promtool")
def test_promtool_finds_no_fault_in_the_rules() -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", *RULES)


@pytest.mark.real("promtool")
@pytest.mark.parametrize("cases", sorted(PROMETHEUS.glob("tests/*_test.yaml")), ids=lambda path: path.stem)
def test_the_rules_do_what_their_cases_say(cases: Path) -> None:
    promtool("test", "rules", cases)


def test_the_rules_ask_for_no_metric_that_the_service_does_not_expose() -> None:
    registry = CollectorRegistry()
    Metrics(registry, "0")
    families = list(registry.collect())
    exposed = {sample.name for family in families for sample in family.samples}
    exposed |= {family.name for family in families if family.type == "gauge"}  # of which nothing may be known yet
    asked = _asked("\n".join(rule["expr"] for rule in _rules()))
    assert asked
    assert asked <= exposed


def test_each_alert_says_what_it_is_and_links_to_its_runbook() -> None:
    alerts = {rule["alert"]: rule for rule in _rules() if "alert" in rule}
    assert alerts
    for name, alert in alerts.items():
        assert {"summary", "description", "runbook_url"} <= alert["annotations"].keys(), name
        assert alert["annotations"]["runbook_url"] == f"{RUNBOOKS}#{name.lower()}"
        assert alert["labels"]["severity"] in {"warning", "critical"}, name


def test_each_alert_has_a_case_in_which_it_is_raised() -> None:
    assert {rule["alert"] for rule in _rules() if "alert" in rule} == {
        name for case in _cases("*") for name in _raised(case)
    }


def test_the_service_that_is_well_shows_all_that_its_alerts_look_at() -> None:
    (well,) = [case for case in _cases("service") if case["name"] == "a service that is well raises nothing"]
    shown = "\n".join(series["series"] for series in well["input_series"])
    assert _asked("\n".join(rule["expr"] for rule in _rules())) <= _asked(shown)


def _rules() -> list[dict[str, Any]]:
    files = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in RULES]
    return [rule for file in files for group in file["groups"] for rule in group["rules"]]


def _asked(expressions: str) -> set[str]:
    return set(re.findall(r"\bnodescore_\w+", expressions))


def _cases(name: str) -> list[dict[str, Any]]:
    files = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in PROMETHEUS.glob(f"tests/{name}_test.yaml")]
    return [case for file in files for case in file["tests"]]


def _raised(case: dict[str, Any]) -> set[str]:
    """The alerts that a case sees raised."""
    told = {test["alertname"] for test in case.get("alert_rule_test", []) if test.get("exp_alerts")}
    asked = [test for test in case.get("promql_expr_test", []) if test.get("exp_samples")]
    return told | set(re.findall(r'alertname="(\w+)"', yaml.safe_dump(asked)))
