"""What is committed speaks of no machine but the reader's own."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# With a bracket in each, so that this file is not found by its own patterns.
FOREIGN = {
    "a folder of one machine": r"(?<![\w.$-])/(?:work|root|opt)/[a-z.]|/tmp/v/|/home/[a-z]+/",
    "a host of a package registry": r"py[p]i\.org|python[h]osted\.org|registry\.np[m]js\.org|de[b]\.debian\.org",
}


def tracked() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("what", FOREIGN)
def test_no_tracked_file_names(what: str) -> None:
    found = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a model, a recording
        if path != Path(__file__):
            found += [f"{path.relative_to(ROOT)}: {match.group()}" for match in re.finditer(FOREIGN[what], text)]
    assert found == []


def test_no_tracked_file_is_larger_than_a_source_file_or_a_small_recording_is() -> None:
    most_bytes = 5 * 1024 * 1024
    large = [path.relative_to(ROOT) for path in tracked() if path.stat().st_size > most_bytes]
    assert large == []
