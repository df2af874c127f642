"""The pages in a real Chromium: light and dark, wide and narrow, with JavaScript and without."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from receiver.columns import NodeName
from receiver.health import Component
from receiver.settings import Settings
from tests.cli.conftest import fill
from tests.servers.browser import running_chromium
from tests.web.service import HeldService, fleet, stored
from tests.web.versions import with_versions

Serve = Callable[[HeldService], str]
pytestmark = pytest.mark.real("chromium")

# Of every element with text of its own: how far its colour is from what lies behind it, by WCAG 2.2, 1.4.3.
LOWEST_CONTRAST = """
() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = parts(colour).map((v) => v / 255).map((v) =>
      v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if ((parts(colour)[3] ?? 1) > 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const texts = [...document.querySelectorAll("body *")].filter((element) =>
    element.checkVisibility() && [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));
  const found = texts.map((element) => {
    const [a, b] = [light(getComputedStyle(element).color), light(behind(element))];
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), element.textContent.trim().slice(0, 40)];
  });
  return found.sort((a, b) => a[0] - b[0])[0];
}
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with running_chromium() as browser:
        yield browser


@pytest.fixture
def attacked() -> HeldService:
    """A fleet with two attacked nodes, one silent one, and a trouble."""
    service = fleet(60)
    service.silence(service.exposition.snapshot.names[9], for_ms=900_000)
    service.components = [Component("TimescaleDB", "degraded", "does not answer; 12 rows wait")]
    return service


def opened(chromium: Browser, url: str, **context: object) -> tuple[Page, list[str]]:
    """The page, and what its console has said."""
    page = chromium.new_context(**context).new_page()  # type: ignore[arg-type]
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(url)
    return page, said


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_the_page_fits_reads_well_and_breaks_no_rule_of_its_own(
    chromium: Browser, serve: Serve, attacked: HeldService, scheme: str, width: int
) -> None:
    page, said = opened(chromium, serve(attacked), color_scheme=scheme, viewport={"width": width, "height": 800})
    page.click("summary")
    contrast, text = page.evaluate(LOWEST_CONTRAST)
    assert contrast >= 4.5, text
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert said == []


def test_a_screen_reader_finds_a_table_with_headers_and_named_charts(
    chromium: Browser, serve: Serve, attacked: HeldService
) -> None:
    for width in (1280, 360):
        page, _ = opened(chromium, serve(attacked), viewport={"width": width, "height": 800})
        assert page.get_by_role("columnheader").count() == 5
        assert page.get_by_role("row").count() == 51
        assert page.get_by_role("img", name="over the threshold").count() == 50
        assert page.get_by_role("searchbox", name="Find nodes by name or cluster").count() == 1


def test_the_line_of_a_chart_is_drawn_not_filled_and_red_above_the_threshold(chromium: Browser, serve: Serve) -> None:
    page, _ = opened(chromium, serve(fleet(1)))
    style = "(path) => [getComputedStyle(path).fill, getComputedStyle(path).stroke, path.tagName]"
    under, over = (page.locator(f".chart {part}").evaluate(style) for part in (".under", ".over"))
    assert (under[0], under[2], over[0], over[2]) == ("none", "path", "none", "path")
    assert over[1] == page.locator(".score span").evaluate("(text) => getComputedStyle(text).color")


def test_without_javascript_search_and_pages_work(chromium: Browser, serve: Serve, attacked: HeldService) -> None:
    page, _ = opened(chromium, serve(attacked), java_script_enabled=False)
    page.fill("#q", "10-0-0-7.")
    page.press("#q", "Enter")
    assert page.locator("tbody tr").count() == 1
    page.goto(page.url.split("?")[0])
    page.click("text=Lower scores")
    assert page.locator("tbody tr").count() == 9


def test_the_page_follows_the_service_and_keeps_what_is_being_typed(chromium: Browser, serve: Serve) -> None:
    service = HeldService({NodeName("eu", "worker-1"): [0.25]})
    page, said = opened(chromium, serve(service))
    page.fill("#q", "half a na")
    service.exposition.show(HeldService({NodeName("eu", "worker-1"): [7.5, 7.5]}).exposition.snapshot)
    page.wait_for_selector("tr.alarm >> text=7.50")
    assert page.input_value("#q") == "half a na"
    assert page.title() == "(1) Nodescore"
    assert said == []


def test_a_paused_page_stays_as_it_is(chromium: Browser, serve: Serve) -> None:
    service = HeldService({NodeName("eu", "worker-1"): [0.25]})
    page = chromium.new_page()
    page.clock.install()
    page.goto(serve(service))
    page.click("text=Pause")
    service.exposition.show(HeldService({NodeName("eu", "worker-1"): [7.5, 7.5]}).exposition.snapshot)
    page.clock.run_for(60_000)
    assert page.locator(".score span").inner_text() == "0.25"
    with page.expect_response(lambda response: response.url.endswith("/")):
        page.click("text=Resume")
        page.clock.run_for(6_000)
    page.wait_for_selector("text=7.50")


def test_a_lost_service_is_told(chromium: Browser, serve: Serve) -> None:
    page, _ = opened(chromium, serve(fleet(1)))
    page.route("**/*", lambda route: route.abort())
    page.wait_for_selector("body.lost")
    assert page.evaluate("getComputedStyle(document.querySelector('main'), '::before').content").startswith(
        '"The service'
    )


@pytest.mark.parametrize("script", [True, False])
def test_from_the_overview_to_a_label_of_an_anomaly_and_back(
    chromium: Browser, serve: Serve, tmp_path: Path, script: bool
) -> None:
    service = stored(fleet(3, attacked=1), tmp_path)
    page, said = opened(chromium, serve(service), java_script_enabled=script, timezone_id="Europe/Berlin")
    page.get_by_role("rowheader").first.get_by_role("link").click()
    page.get_by_role("link", name="Say what it was").click()
    assert page.locator("#node").input_value().startswith("ip-10-0-0-0.")
    assert page.get_by_label("Start").input_value() == "2026-11-20T07:57:08Z"
    assert page.locator("input#start + small").all_inner_texts() == (
        ["Nov 20, 2026, 8:57:08 AM GMT+1"] if script else []
    )
    page.get_by_text("There was an alert, and it was wrong").click()
    page.get_by_label("Details").fill("the nightly backup")
    page.get_by_label("Your name").fill("Ann")
    page.get_by_role("button", name="Keep").click()
    page.wait_for_url(re.compile(r"/label\?key="))
    assert page.get_by_role("heading", level=1).inner_text().startswith("FP: normal on ip-10-0-0-0.")
    assert page.get_by_text("the nightly backup").count() >= 2
    page.get_by_role("heading", level=1).get_by_role("link").click()
    assert page.locator(".panel rect.band.normal").count() == 1
    assert page.get_by_role("link", name="FP: normal").count() == 1
    assert said == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_the_other_pages_fit_read_well_and_break_no_rule_of_their_own(
    chromium: Browser, serve: Serve, tmp_path: Path, scheme: str, width: int
) -> None:
    service = with_versions(stored(fleet(2, attacked=1), tmp_path))
    url = serve(service)
    node = service.exposition.snapshot.names[0].node
    page, said = opened(
        chromium,
        f"{url}/feedback?node={node}&start=-3m&end=-1s",
        color_scheme=scheme,
        viewport={"width": width, "height": 800},
    )
    assert all(
        box is not None and box["width"] > 10
        for box in (radio.bounding_box() for radio in page.get_by_role("radio").all())
    )
    page.get_by_text("an attack").first.click()
    page.get_by_label("Details").fill("x" * 300)
    page.get_by_label("Your name").fill("Ann")
    page.get_by_role("button", name="Keep").click()
    page.wait_for_url(re.compile(r"/label\?key="))
    label = page.url.removeprefix(f"{url}/")
    models = ("models", "activate?version=pca-2", "shadow?version=pca-2", "rollback")
    for at in (
        label,
        "labels",
        "feedback",
        f"node?node={node}",
        f"mute?node={node}",
        *models,
        "data",
        "audit?day=2026-11-20",
    ):
        page.goto(f"{url}/{at}")
        contrast, text = page.evaluate(LOWEST_CONTRAST)
        assert contrast >= 4.5, (at, text)
        assert page.evaluate("document.documentElement.scrollWidth") == width, at
    assert said == []


def test_a_click_into_the_chart_chooses_its_moment(chromium: Browser, serve: Serve, tmp_path: Path) -> None:
    service = stored(fleet(1), tmp_path)
    page, _ = opened(chromium, f"{serve(service)}/node?node={service.exposition.snapshot.names[0].node}")
    box = page.locator(".panel svg[role=img]").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 20)
    page.wait_for_url(re.compile("at=2026-11-20T07%3A52"))
    assert "07:52" in page.locator("#moment").inner_text()


@pytest.mark.parametrize("script", [True, False])
def test_a_version_is_activated_and_rolled_back_by_keyboard(chromium: Browser, serve: Serve, script: bool) -> None:
    service = with_versions(fleet(1))
    page, said = opened(chromium, f"{serve(service)}/models", java_script_enabled=script)
    page.get_by_role("region", name="Version pca-2").get_by_role("link", name="Activate this version").press("Enter")
    page.wait_for_url(re.compile("activate"))
    page.get_by_label("Your name").press_sequentially("Ann")
    page.keyboard.press("Tab")
    page.keyboard.type("it is better")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")  # the box beside the gate's refusal
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("models"))
    assert page.get_by_role("row", name="pca-2 activated Ann it is better").count() == 1
    page.get_by_role("link", name="Roll back to").click()
    page.get_by_label("Your name").fill("Ann")
    page.get_by_role("button", name="Roll back").click()
    page.wait_for_url(re.compile("models"))
    assert page.get_by_role("row", name="pca-1 rolled back Ann").count() == 1
    assert said == []


def test_a_table_is_chosen_and_downloaded_without_javascript(chromium: Browser, serve: Serve, tmp_path: Path) -> None:
    service = HeldService({}, settings=Settings.model_validate({"data_dir": fill(tmp_path)}))
    page, _ = opened(chromium, f"{serve(service)}/data", java_script_enabled=False)
    page.get_by_label("Since").fill("2026-11-20")
    page.get_by_label("Nodes").fill("worker-1")
    page.get_by_label("zscore").check()
    with page.expect_download() as started:
        page.get_by_role("button", name="Download").press("Enter")
    assert started.value.suggested_filename == "nodescore-zscore-2026-11-20T080000Z.csv"
    assert len(started.value.path().read_text().splitlines()) == 7
