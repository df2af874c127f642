"""Takes the pictures of the pages for docs/, of `nodescore demo` in a real Chromium: `make pictures`.

The node's page and the form are those of the attack that the demo plays.
"""

from __future__ import annotations

import subprocess
import sys

from playwright.sync_api import Page

from receiver.cli.processes import free_port
from tests.docs.pages import DOCS
from tests.servers.browser import running_chromium

WIDTH, HEIGHT = 1280, 640
# As long as the page of a node is of interest to somebody who has not seen one.
NODE_HEIGHT, FORM_HEIGHT = 1000, 850
ATTACK_TIMEOUT_MS = 150_000


def main() -> None:
    """Write overview.png, node.png and feedback.png."""
    url = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "receiver", "demo", "--port", url.rpartition(":")[2]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo, running_chromium() as browser:
        assert demo.stdout is not None
        demo.stdout.readline()
        try:
            _take(browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light"), url)
        finally:
            demo.terminate()


def _take(page: Page, url: str) -> None:
    page.goto(url)
    page.wait_for_selector("tr.alarm", timeout=ATTACK_TIMEOUT_MS)
    # A chart with some of the attack in it.
    page.wait_for_timeout(25_000)
    page.screenshot(path=DOCS / "overview.png")
    page.get_by_role("rowheader").first.get_by_role("link").click()
    page.set_viewport_size({"width": WIDTH, "height": NODE_HEIGHT})
    page.wait_for_load_state("networkidle")
    page.screenshot(path=DOCS / "node.png")
    page.get_by_role("link", name="Say what it was").first.click()
    page.set_viewport_size({"width": WIDTH, "height": FORM_HEIGHT})
    page.wait_for_load_state("networkidle")
    page.screenshot(path=DOCS / "feedback.png")


if __name__ == "__main__":
    main()
