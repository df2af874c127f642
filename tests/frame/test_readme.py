"""The README says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from receiver.settings import Settings
from tests.frame import settings_table

ROOT = Path(__file__).parents[2]


def test_every_setting_stands_in_the_readme_as_it_describes_itself() -> None:
    readme = settings_table.README.read_text(encoding="utf-8")
    assert readme == settings_table.placed(readme), "run `make settings`"


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_every_command_of_make_that_a_document_names_exists(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:`|^\s*)make ([a-z]+)", text, re.MULTILINE))
    assert named
    assert named <= targets


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_every_file_that_a_document_links_to_exists(document: str) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", (ROOT / document).read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / link).exists()] == []
