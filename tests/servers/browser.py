"""A real Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from tests.servers import places


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """Without a window, up until the end."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=places.path_of("chromium"), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
