"""The committed dashboards: they are the code's, and a stranger finds his way in them."""

from __future__ import annotations

from collections import Counter
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from manifests.grafana import fleet
from manifests.grafana.frame import PLACEHOLDER_URL
from manifests.grafana.written import FOLDER, texts
from receiver import catalogue
from tests.dashboards.reading import NAMES, PANEL, panels, rows
from tests.e2e.chain import RULES


def test_the_committed_files_are_what_the_code_writes() -> None:
    committed = {path.stem: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    assert committed == texts(), "run `make dashboards`"


@pytest.mark.parametrize("name", NAMES)
def test_no_panel_overlaps_another_or_leaves_the_grid(name: str) -> None:
    places = [panel["gridPos"] for panel in [*rows(name), *panels(name)]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    cells = Counter(
        (place["x"] + right, place["y"] + down)
        for place in places
        for right in range(place["w"])
        for down in range(place["h"])
    )
    assert [cell for cell, panels_there in cells.items() if panels_there > 1] == []


@pytest.mark.parametrize("name", NAMES)
def test_each_panel_says_what_it_shows_in_which_unit(name: str) -> None:
    shown = list(panels(name))
    assert len({panel["title"] for panel in shown}) == len(shown)
    assert len({panel["id"] for panel in shown}) == len(shown)
    for panel in shown:
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        if panel["type"] == "timeseries":
            assert panel["options"]["legend"]["showLegend"], panel["title"]
        assert all(target.get("legendFormat") for target in panel["targets"] if "expr" in target), panel["title"]


def test_the_node_has_a_panel_for_each_feature_of_the_catalogue() -> None:
    wanted = catalogue.load().feature_names
    assert tuple(panel["title"] for panel in panels("node") if panel["title"] in wanted) == wanted


def test_a_click_on_a_nodes_panel_leads_to_the_form_that_the_alert_links_to() -> None:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    (alert,) = [rule for rule in groups[0]["rules"] if rule.get("alert") == "NodeAnomalous"]
    of_the_alert = alert["annotations"]["feedback_url"]
    assert f"{PLACEHOLDER_URL}/feedback?" in of_the_alert
    drawn = [panel for panel in panels("node") if panel["type"] == "timeseries" and "expr" in panel["targets"][0]]
    assert len(drawn) >= 26
    for panel in drawn:
        link = _form(panel).replace("${nodescore:raw}", PLACEHOLDER_URL)
        assert link.startswith(f"{PLACEHOLDER_URL}/feedback?")
        asked = parse_qs(urlsplit(link).query)
        assert set(asked) == {"node", "cluster", "start", "end"}
        assert all(f"{name}=" in of_the_alert for name in asked)


def test_the_fleet_shows_the_alerts_on_nodes_that_there_are() -> None:
    groups = {group["name"]: group["rules"] for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]}
    assert {rule["alert"] for rule in groups["nodescore-nodes"] if "alert" in rule} == set(fleet.NODE_ALERTS)


def _form(panel: PANEL) -> str:
    (link,) = [link["url"] for link in panel["fieldConfig"]["defaults"]["links"] if "/feedback?" in link["url"]]
    return str(link)
