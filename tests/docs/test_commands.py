"""What the pages tell to run runs: each page's blocks in their order, in a folder of its own, against one service."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests.docs.conftest import Shell, addressed
from tests.docs.pages import PAGES, ROOT, blocks
from tests.servers.nodescore import Nodescore

# Longer than a new node's first rows wait for series that nobody knows of yet.
PATIENCE_SECONDS = 20
RUN = {page: [block for block in blocks(page) if block.is_run] for page in PAGES}


@pytest.mark.real("curl")
@pytest.mark.parametrize("page", [page for page in PAGES if RUN[page]], ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_is_followed_word_for_word(page: Path, service: Nodescore, shell: Shell, tmp_path: Path) -> None:
    # Where the commands look without --data-dir.
    (tmp_path / "nodescore-data").symlink_to(service.data_dir)
    for block in RUN[page]:
        found = block.understood
        assert found
        deadline = time.monotonic() + (PATIENCE_SECONDS if found["until"] else 0)
        done = shell(addressed(block.text, service.address), tmp_path)
        while not _as_said(done, found["prints"]) and time.monotonic() < deadline:
            done = shell(addressed(block.text, service.address), tmp_path)
        assert _as_said(done, found["prints"]), f"{block}\n{block.text}status {done.returncode}\n{done.stdout}"


def _as_said(done: subprocess.CompletedProcess[str], prints: str | None) -> bool:
    return done.returncode == 0 and (prints or "") in done.stdout
