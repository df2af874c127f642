"""The reference says what the code says."""

from __future__ import annotations

import pytest

from receiver.settings import Settings
from tests.docs.reference import FOLDER, PAGES, TABLES, tables

HOW = "run `make reference`"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_code_makes_of_it(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == PAGES[name](), HOW


def test_the_tables_are_those_that_the_stores_make(timescale_dsn: str) -> None:
    assert (FOLDER / TABLES).read_text(encoding="utf-8") == tables.page(timescale_dsn), HOW


def test_every_page_of_the_folder_is_made_by_code() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {*PAGES, TABLES}


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
