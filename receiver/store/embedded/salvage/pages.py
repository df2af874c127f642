"""The embedded file and its log as images of pages, read without SQLite.

In: the path of the file; neither it nor its log need be there. Out: of each page the images that there are, the newest
first, since one that was overwritten by damage may have an older one in the file or earlier in the log. Raises
`OSError`. Nothing is written. Reading a page costs some 5 µs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Self

import numpy as np

from receiver.store.embedded.salvage.cells import Cell
from receiver.store.embedded.salvage.wal import Log, read_log
from receiver.store.embedded.sqlite import APPLICATION_ID, PAGE_BYTES

_POINTER_BYTES = 4
_HEADER_BYTES = 100
_MAGIC = b"SQLite format 3\0"
_PAGES_AT, _FREE_AT, _OWNER_AT = 28, 32, 68
# What can stand in a header of ours, by place: length, and the values. 0 where nothing has been stored yet.
_POSSIBLE = {
    0: (16, {int.from_bytes(_MAGIC, "big")}),
    16: (2, {PAGE_BYTES}),
    18: (2, {0x0101, 0x0202}),  # with a log, or as another program may have set it
    20: (4, {0x00402020}),
    44: (4, {0, 1, 2, 3, 4}),
    52: (4, {0}),
    56: (4, {0, 1}),
    64: (4, {0}),
}


def is_ours(path: Path) -> bool:
    """Whether the file at `path` says that it is this service's; its header is not damaged, then."""
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    return header.startswith(_MAGIC) and _number(header, _OWNER_AT) == APPLICATION_ID


def header_faults(path: Path) -> list[str]:
    """What is wrong with the header of the file at `path`, which a service of ours has made."""
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES:
        return [f"{path.name}: has only {len(header)} bytes"]
    return [
        f"{path.name}: byte {at} of its header cannot be right"
        for at, (size, values) in _POSSIBLE.items()
        if int.from_bytes(header[at : at + size], "big") not in values
    ]


class Pages:
    """All images of all pages. Close it, or use it in a `with` block."""

    def __init__(self, path: Path) -> None:
        self.log: Log = read_log(path)
        self._open = ExitStack()
        self._file = self._opened(path)
        self._log = self._opened(self.log.path)
        self.in_file = -(-path.stat().st_size // PAGE_BYTES) if path.exists() else 0
        last_is_whole = len(self.log) > 0 and bool(self.log.whole[-1])
        # How many there should be.
        self.claimed = self.log.pages if last_is_whole else _number(self._in_file(1), _PAGES_AT)
        numbers = self.log.page.copy()
        (impossible,) = np.nonzero((numbers < 1) | (numbers > self.in_file + len(self.log)))
        # The highest number that there may be an image of.
        self.count = max(self.in_file, int(np.delete(numbers, impossible).max(initial=0)))
        # An image whose number is damaged stands behind the last page.
        numbers[impossible] = np.arange(len(impossible)) + self.count + 1
        self.count += len(impossible)
        self._by_page = np.argsort(numbers, kind="stable")
        self._numbers = numbers[self._by_page]

    def images(self, page: int) -> Iterator[tuple[bytes, bool]]:
        """The images of a page, newest first, and whether each is known to be of this page and as it was written.

        What the file has is taken to be: it has no checksums.
        """
        first, end = np.searchsorted(self._numbers, (page, page + 1))
        for frame in self._by_page[first:end][::-1].tolist():
            yield self._frame(frame), bool(self.log.whole[frame])
        if page <= self.in_file:
            yield self._in_file(page), True

    def newest(self, page: int) -> tuple[bytes, bool]:
        """The first of these; zeros where there is none."""
        return next(self.images(page), (bytes(PAGE_BYTES), False))

    def rows(self, cell: Cell) -> Iterator[tuple[bytes, list[int]]]:
        """What a cell's whole row may be, and the pages that it goes on in: the likeliest first."""
        if not cell.overflow:
            yield cell.local, []
            return
        for choose in (self._newest_image, self._newest_whole, self._in_file):
            joined = self._joined(cell, choose)
            if joined is not None:
                yield joined

    def free(self) -> Iterator[int]:
        """The pages that are not in use, as far as the list of them can be read."""
        trunk, seen = _number(self._newest_whole(1), _FREE_AT), set[int]()
        while 1 < trunk <= self.count and trunk not in seen:
            seen.add(trunk)
            image = self._newest_whole(trunk)
            count = min(_number(image, _POINTER_BYTES), PAGE_BYTES // _POINTER_BYTES - 2)
            yield trunk
            yield from (page for place in range(count) if 1 < (page := _number(image, 8 + 4 * place)) <= self.count)
            trunk = _number(image, 0)

    def close(self) -> None:
        """Give up the files."""
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _opened(self, path: Path) -> IO[bytes] | None:
        return self._open.enter_context(path.open("rb")) if path.exists() else None

    def _frame(self, frame: int) -> bytes:
        return _read(self._log, self.log.offset(frame))

    def _in_file(self, page: int) -> bytes:
        return _read(self._file, (page - 1) * PAGE_BYTES)

    def _newest_image(self, page: int) -> bytes:
        return self.newest(page)[0]

    def _newest_whole(self, page: int) -> bytes:
        return next((image for image, whole in self.images(page) if whole), bytes(PAGE_BYTES))

    def _joined(self, cell: Cell, choose: Callable[[int], bytes]) -> tuple[bytes, list[int]] | None:
        parts, page, left, used = [cell.local], cell.overflow, cell.size - len(cell.local), []
        while left > 0:
            if not 1 < page <= self.count:
                return None
            image = choose(page)
            used.append(page)
            parts.append(image[_POINTER_BYTES:][:left])
            left -= len(parts[-1])
            page = _number(image, 0)
        return b"".join(parts), used


def _read(file: IO[bytes] | None, offset: int) -> bytes:
    """A page; zeros behind the end."""
    if file is None:
        return bytes(PAGE_BYTES)
    file.seek(offset)
    return file.read(PAGE_BYTES).ljust(PAGE_BYTES, b"\0")


def _number(content: bytes, at: int) -> int:
    return int.from_bytes(content[at : at + 4], "big")
