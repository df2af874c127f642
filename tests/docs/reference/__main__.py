"""Writes the reference pages: `make reference`. The page of tables is made where there is a TimescaleDB."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.docs.reference import FOLDER, PAGES, TABLES, tables
from tests.servers.timescale import empty_database, timescale_server


def main() -> int:
    """0, or 1 where a page could not be made."""
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            timescale_server(Path(folder)) as server,
            empty_database(server) as dsn,
        ):
            (FOLDER / TABLES).write_text(tables.page(dsn), encoding="utf-8")
    except LookupError as error:
        print(f"{TABLES} stays as it is: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
