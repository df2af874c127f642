"""The pages of the documentation as tests see them: their blocks, their links, their anchors.

Every fenced block but one of language `text` (a listing, an output) has a comment right above it that says how it is
known to work, invisible to readers:

    <!-- run -->                      `test_commands` runs it in a shell; it ends with status 0
    <!-- run: prints TEXT -->         … and its output has this text
    <!-- run until it prints TEXT --> … at the latest after `PATIENCE_SECONDS`
    <!-- run by tests/FILE -->        that test does the same, or reads the block
    <!-- not run: REASON -->
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
# Those that a user reads. The others are for who works on the project.
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
# Where links to files outside of docs/ lead, which a built site does not have.
REPOSITORY = "https://github.com/nodescore/nodescore"
OUTPUT = "text"

_BLOCK = re.compile(
    r"(?:^[ ]*<!--[ ](?P<mark>[^\n]*)[ ]-->\n)?^(?P<indent>[ ]*)```(?P<language>[^\n]*)\n(?P<text>.*?)^[ ]*```$",
    re.MULTILINE | re.DOTALL,
)
_MARK = re.compile(
    r"run(?:(?P<until> until it|:) prints (?P<prints>.+))?|run by (?P<test>(?:tests/|\.ci/)\S+)|not run: (?P<reason>.+)"
)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str
    mark: str  # "" where it has none

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def understood(self) -> re.Match[str] | None:
        """The parts of its mark; None where the mark is none of those above."""
        return _MARK.fullmatch(self.mark)

    @property
    def is_run(self) -> bool:
        """Whether `test_commands` runs it."""
        return self.mark == "run" or self.mark.startswith(("run:", "run until"))


def blocks(page: Path) -> Iterator[Block]:
    """All fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("indent")) + 1
        content = "".join(part.removeprefix(found["indent"]) for part in found["text"].splitlines(keepends=True))
        yield Block(page, line, found["language"], content, found["mark"] or "")


def prose(page: Path) -> str:
    """A page without its blocks."""
    return _BLOCK.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> list[str]:
    """Where a page's links and pictures lead."""
    return _LINK.findall(prose(page))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def block_with(page: str, text: str) -> Block:
    """The one block of a page that has this text."""
    (found,) = [block for block in blocks(DOCS / page) if text in block.text]
    return found
