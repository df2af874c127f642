"""The site: built strictly, which checks links and anchors between its pages, and whole by itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT

# What a browser fetches by itself, not what a reader may click on.
FETCHED = re.compile(r"<(?:script|img|iframe|source)[^>]*\ssrc=[\"']?([^\"' >]+)|<link[^>]*\shref=[\"']?([^\"' >]+)")
FETCHED_BY_STYLE = re.compile(r"(?:url\(|@import)\s*[\"']?([^\"') ]+)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(out)]
    done = subprocess.run(
        build, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_every_page_is_built(site: Path) -> None:
    pages = [path.relative_to(DOCS).with_suffix("") for path in DOCS.rglob("*.md")]
    built = [site / ("" if page.name == "index" else page) / "index.html" for page in pages]
    assert [path for path in built if not path.exists()] == []


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    fetched = {
        address
        for kind, pattern in (("html", FETCHED), ("css", FETCHED_BY_STYLE))
        for path in site.rglob(f"*.{kind}")
        for found in pattern.finditer(path.read_text(encoding="utf-8"))
        for address in found.groups()
        if address
    }
    assert fetched
    assert [address for address in fetched if re.match(r"(https?:)?//", address)] == []
