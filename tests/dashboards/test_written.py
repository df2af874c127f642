"""The committed dashboards: they are the code's, and a stranger finds his way in them."""

from __future__ import annotations

from collections import Counter
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from manifests.grafana.scored import SCORED, Scored
from manifests.grafana.written import FOLDER, texts
from manifests.levels import PROMETHEUS
from tests.dashboards.reading import NAMES, PANEL, panels, rows


def test_the_committed_files_are_what_the_code_writes() -> None:
    committed = {path.stem: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    assert committed == texts(), "run `make dashboards`"


def test_the_grafana_of_the_manifests_has_all_of_them() -> None:
    made = yaml.safe_load((FOLDER.parent / "kustomization.yaml").read_text(encoding="utf-8"))["configMapGenerator"]
    file_of = {each["name"]: file for each in made for file in each["files"]}
    assert set(file_of.values()) == {f"dashboards/{name}.json" for name in NAMES}
    documents = yaml.safe_load_all((FOLDER.parents[1] / "components/grafana/grafana.yaml").read_text(encoding="utf-8"))
    (deployment,) = [each for each in documents if each["kind"] == "Deployment"]
    volumes = deployment["spec"]["template"]["spec"]["volumes"]
    (sources,) = [volume["projected"]["sources"] for volume in volumes if volume["name"] == "dashboards"]
    assert {source["configMap"]["name"] for source in sources} == file_of.keys()


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


@pytest.mark.parametrize("of", SCORED, ids=lambda of: of.one)
def test_one_of_them_has_a_panel_for_each_feature_of_its_catalogue(of: Scored) -> None:
    wanted = of.catalogue.feature_names
    assert tuple(panel["title"] for panel in panels(of.one) if panel["title"] in wanted) == wanted


@pytest.mark.parametrize("of", SCORED, ids=lambda of: of.one)
def test_a_click_on_a_panel_leads_to_the_form_that_the_alert_links_to(of: Scored) -> None:
    files = PROMETHEUS.glob("*alerts.yaml")
    groups = [group for file in files for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]]
    (alert,) = [rule for group in groups for rule in group["rules"] if rule.get("alert") == of.anomalous]
    of_the_alert = alert["annotations"]["feedback_url"]
    assert f"{of.placeholder_url}/feedback?" in of_the_alert
    drawn = [panel for panel in panels(of.one) if panel["type"] == "timeseries" and "expr" in panel["targets"][0]]
    assert len(drawn) >= 2 + len(of.catalogue.features)
    for panel in drawn:
        link = _form(panel).replace(f"${{{of.pages}:raw}}", of.placeholder_url)
        assert link.startswith(f"{of.placeholder_url}/feedback?")
        asked = parse_qs(urlsplit(link).query)
        assert set(asked) == {"node", "cluster", "start", "end"}
        assert all(f"{name}=" in of_the_alert for name in asked)


def _form(panel: PANEL) -> str:
    (link,) = [link["url"] for link in panel["fieldConfig"]["defaults"]["links"] if "/feedback?" in link["url"]]
    return str(link)
