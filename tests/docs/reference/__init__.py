"""The reference pages of docs/reference, made of the code that they are about.

`PAGES` has a function for each page that needs nothing but the code; `tables` needs a TimescaleDB. `make reference`
writes all of them, and a test holds the committed ones against what is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tests.docs.reference import commands, endpoints, features, metrics, settings

FOLDER = Path(__file__).parents[3] / "docs" / "reference"
PAGES: Mapping[str, Callable[[], str]] = {
    "commands.md": commands.page,
    "endpoints.md": endpoints.page,
    "features.md": features.page,
    "metrics.md": metrics.page,
    "settings.md": settings.page,
}
TABLES = "tables.md"
