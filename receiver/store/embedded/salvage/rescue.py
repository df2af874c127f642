"""What a damaged embedded file still has, brought into a new one that takes its place.

In: the path of a file that SQLite gives up, or whose log it would not read to its end. Out: a new file there, the
damaged one and its log beside it under another name, and a line about each place that could not be read. Raises
`ConfigurationError` where rows cannot be told apart, `StoreUnavailable` where the disk is full; the damaged files are
then as they were, as they are when the process dies meanwhile. Takes some 25 µs a row, 95 s a GB, and the disk space
of a second file; memory is bounded by the nodes, the series, and what is left of the journal.

Every page is read by itself, whatever led to it. A row is known by the types of its values and proves itself where it
can: a record of the journal and the labels of a series by their checksums, a label or a mute by its digest. Of a row
that is found twice the later change wins. Nothing of the journal counts as consumed afterwards, so that every row that
is lost and whose samples are still there is made again.

What nobody can tell, here and in a file that SQLite finds nothing wrong with: a bit that has changed in a row's value,
in a score, a vector or a state, in the text of a model's version, in how far something has come (`progress`, the time
of a node's last row), or, in a file that is whole otherwise, in a label's text. A row or a score with another time is
named as one that lacks its other half. A file that has rows of two catalogues is refused: rows of the same width look
the same.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from receiver.catalogue import Catalogue
from receiver.errors import ConfigurationError
from receiver.store.embedded import journal
from receiver.store.embedded.salvage.cells import Cell, Value, children, listed, searched, values
from receiver.store.embedded.salvage.pages import Pages
from receiver.store.embedded.salvage.recognize import row_of
from receiver.store.embedded.salvage.refill import Refill
from receiver.store.embedded.sqlite import PAGE_BYTES, unavailable

# The page at this place is never used: locks are taken on its bytes.
_LOCK_PAGE = (1 << 30) // PAGE_BYTES + 1
# Where the list of a page's rows stands in the first page, behind the file's header.
_FIRST_START = 100
# Columns of the schema's table, and of the samples' before the features.
_SCHEMA_COLUMNS, _KEY_COLUMNS = 5, 4
# What is known of a page.
_UNKNOWN, _DONE, _DAMAGED, _FREE = range(4)

log = logging.getLogger(__name__)


def salvage(path: Path, catalogue: Catalogue, faults: list[str]) -> list[str]:
    """Put what can be read of the file at `path` into its place; `faults` and what else was found, a line each."""
    part = path.with_name(f"{path.name}.salvage")
    _remove(part)
    try:
        with Pages(path) as pages, closing(Refill(part, catalogue, _columns(pages, catalogue))) as into:
            lines = _read(pages, into) + into.finish()
        part.rename(_ready(path))
    except sqlite3.Error as error:
        raise unavailable(error) from error
    finally:
        _remove(part)
    complete(path)
    log_lines = [line for line in (*pages.log.faults, pages.log.cut) if line and line not in faults]
    return faults + log_lines + lines


def complete(path: Path) -> None:
    """Put a salvaged file into the place of the damaged one, also where the process died before it had done so."""
    ready = _ready(path)
    if not ready.exists():
        return
    _sync_folder(path.parent)
    made = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(ready.stat().st_mtime))
    damaged = path.with_name(f"{path.name}.damaged-{made}")
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
    for ending in ("", "-wal"):  # the log must not be there any more when the new file is
        old = path.with_name(path.name + ending)
        if old.exists():
            old.rename(damaged.with_name(damaged.name + ending))
    _sync_folder(path.parent)
    ready.rename(path)
    _sync_folder(path.parent)
    log.warning(
        "store %s was damaged: all that could be read of it is in a new file; the damaged one is %s, to be deleted",
        path,
        damaged,
    )


def _ready(path: Path) -> Path:
    return path.with_name(f"{path.name}.salvaged")


def _remove(path: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read(pages: Pages, into: Refill) -> list[str]:
    """Read every page; a line about each that could not be read as a whole."""
    lines = []
    if pages.claimed > pages.count:
        lines.append(f"pages {pages.count + 1} to {pages.claimed}: missing")
    state = bytearray(pages.count + 1)
    for page in range(1, pages.count + 1):
        image, whole = pages.newest(page)
        start = _start(page)
        if children(image, start, pages.count):
            state[page] = _DONE if whole else _DAMAGED
        elif (cells := listed(image, start)) is not None:
            read = [_take(pages, cell, into, state) for cell in cells]
            state[page] = _DONE if whole and all(read) else _DAMAGED
    for page in pages.free():
        if state[page] == _UNKNOWN:
            state[page] = _FREE
    for page in range(1, pages.count + 1):
        if state[page] != _DONE and page != _LOCK_PAGE:
            found, complete_ = _search(pages, page, into, state)
            if not complete_ and state[page] != _FREE:
                lines.append(f"page {page}: cannot be used as a whole; {found} rows were found in it")
    return lines


def _search(pages: Pages, page: int, into: Refill, state: bytearray) -> tuple[int, bool]:
    """Take all rows of all images of a page; how many, and whether the newest image was a page without faults.

    What was deleted may come back so, with an older image, or with a page that is free as far as the list of these is
    right. It will be deleted again, by its age or because it was passed on.
    """
    counts = []
    faults = []
    for image, _ in pages.images(page):
        start = _start(page)
        cells = listed(image, start)
        read = [_take(pages, cell, into, state) for cell in cells or ()]
        fault = not all(read) or (cells is None and not children(image, start, pages.count))
        if fault:
            read += [_take(pages, cell, into, state) for cell in searched(image)]
            for received_ms, record in journal.found_in(image):
                into.put_record(received_ms, record)
        counts.append(sum(read))
        faults.append(fault)
    return max(counts, default=0), not any(faults[:1])


def _take(pages: Pages, cell: Cell | None, into: Refill, state: bytearray) -> bool:
    """Put a row into the new file; False where it is none, or damaged."""
    if cell is None:
        return False
    for row, used in pages.rows(cell):
        try:
            found = row_of(cell.rowid, values(row))
            if found is not None:
                into.put(found)
        except ValueError:
            continue
        for page in used:
            state[page] = _DONE
        return True
    return False


def _columns(pages: Pages, catalogue: Catalogue) -> list[str]:
    """The features in the order that rows have them: the schema's, or the catalogue's where that is lost."""
    own = f"{catalogue.name}_samples"
    tables: dict[str, str] = {}
    waiting, seen = [1], {1}
    while waiting:
        page = waiting.pop()
        for image, _ in pages.images(page):
            start = _start(page)
            more = [child for child in children(image, start, pages.count) if child not in seen]
            waiting += more
            seen.update(more)
            for cell in listed(image, start) or searched(image):
                for kind, name, _, _, text in _schema_rows(pages, cell):
                    if kind == "table" and str(name).endswith("_samples"):
                        tables.setdefault(own if _may_be(str(name), own) else str(name), str(text))
    if others := sorted(tables.keys() - {own}):
        raise ConfigurationError(
            f"the store is damaged and has rows of another catalogue too ({', '.join(others)}), which cannot be told "
            "apart; move it away, and get back what can be read with `sqlite3 FILE .recover`"
        )
    with closing(sqlite3.connect(":memory:")) as connection:
        try:
            connection.execute(tables[own])
            made = connection.execute("SELECT c.name FROM sqlite_master m, pragma_table_info(m.name) c").fetchall()
        except (KeyError, sqlite3.Error):
            return list(catalogue.feature_names)
    names = [name for (name,) in made[_KEY_COLUMNS:]]
    known = catalogue.feature_names
    missing = [name for name in known if name not in names]
    return [
        name if name in known else next((other for other in missing if _may_be(name, other)), name) for name in names
    ]


def _may_be(found: str, name: str) -> bool:
    """Whether it is this name with one character changed, or none."""
    return len(found) == len(name) and sum(one != other for one, other in zip(found, name, strict=True)) <= 1


def _schema_rows(pages: Pages, cell: Cell | None) -> Iterator[list[Value]]:
    for row, _ in pages.rows(cell) if cell is not None else ():
        with suppress(ValueError):
            if len(found := values(row)) == _SCHEMA_COLUMNS:
                yield found


def _start(page: int) -> int:
    return _FIRST_START if page == 1 else 0
