"""The rows of a page's image, read without SQLite: by the page's own list of them, or at whatever place one may be.

In: the bytes of a page. Out: `Cell`s, and the values of one whose bytes have been put together; `ValueError` for bytes
that are no row. A row is known by itself: its length, its types and its values must fit together exactly. Costs some
20 µs for a row of 28 values, and some ms for a page that is searched.

The format: https://www.sqlite.org/fileformat2.html#b_tree_pages. The file has no reserved bytes and UTF-8 text, as all
that this service makes.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from receiver.store.embedded.sqlite import PAGE_BYTES

Value = None | int | float | str | bytes

_INTERIOR_INDEX, _INTERIOR_TABLE, _LEAF_INDEX, _LEAF_TABLE = 0x02, 0x05, 0x0A, 0x0D
_HEADER_BYTES = {_INTERIOR_INDEX: 12, _INTERIOR_TABLE: 12, _LEAF_INDEX: 8, _LEAF_TABLE: 8}
_INTEGER_BYTES = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 8: 0, 9: 0}
_POINTER_BYTES = 4
# A row keeps so many bytes on its page at most, and at least that many of one that goes on elsewhere.
_MOST_OF_TABLE = PAGE_BYTES - 35
_MOST_OF_INDEX = (PAGE_BYTES - 12) * 64 // 255 - 23
_LEAST = (PAGE_BYTES - 12) * 32 // 255 - 23
# The largest row is the journal record of the largest request, of 20 bytes a sample; more is damage.
_MOST_BYTES = 64 * 1024 * 1024
# How a row may begin that has no key of its own among its values, or is one of the schema's: the length of its types,
# and the first of them, which is that of NULL or of the text "table".
_BEGINNING = re.compile(rb"(?=[\x02-\x7f][\x00\x17])", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Cell:
    """A row of a table, or of an index, as far as it is on its page."""

    rowid: int | None  # of a table
    size: int  # bytes of the whole row
    local: bytes  # those that are here
    overflow: int  # the page that it goes on in, or 0


def children(image: bytes, start: int, pages: int) -> list[int]:
    """The pages that a page leads to, of a file of so many; none where it is a leaf, or no list can be made out.

    `start` is where the page's header stands.
    """
    pointers = _pointers(image, start) if image[start] in (_INTERIOR_INDEX, _INTERIOR_TABLE) else None
    if pointers is None:
        return []
    places = [*pointers, start + _HEADER_BYTES[_INTERIOR_TABLE] - _POINTER_BYTES]
    found = [int.from_bytes(image[at : at + _POINTER_BYTES], "big") for at in places]
    return found if all(1 < page <= pages for page in found) else []


def listed(image: bytes, start: int = 0) -> list[Cell | None] | None:
    """The rows that a leaf lists, None where one is no row; None where it is no leaf, or no list can be made out."""
    kind = image[start]
    pointers = _pointers(image, start) if kind in (_LEAF_INDEX, _LEAF_TABLE) else None
    return None if pointers is None else [_cell(image, at, kind == _LEAF_TABLE) for at in pointers]


def searched(image: bytes) -> Iterator[Cell]:
    """Rows of tables, wherever they stand: what looks like one by its length, its key and its types."""
    for match in _BEGINNING.finditer(image):
        at = match.start()
        try:
            body, sizes = _types(image, at)
        except ValueError:
            continue
        size = body - at + sum(sizes)
        length = _written(size)
        for key_bytes in range(1, 10):
            start = at - key_bytes - len(length)
            if start >= 0 and image[start : start + len(length)] == length:
                cell = _cell(image, start, of_table=True)
                if cell is not None and _varint(image, start + len(length))[1] == at:
                    yield cell
                    break


def values(row: bytes) -> list[Value]:
    """The values of a whole row."""
    at, kinds = _kinds(row, 0)
    found: list[Value] = []
    for kind in kinds:
        size = _size(kind)
        part = row[at : at + size]
        at += size
        if kind == 0:
            found.append(None)
        elif kind == 7:
            found.append(struct.unpack(">d", part.ljust(8, b"\0"))[0])
        elif kind < 10:
            found.append(kind - 8 if kind >= 8 else int.from_bytes(part, "big", signed=True))
        else:
            found.append(part.decode() if kind % 2 else part)
    if at != len(row):
        raise ValueError(f"{len(row)} bytes, and values of {at}")
    return found


def _pointers(image: bytes, start: int) -> tuple[int, ...] | None:
    """Where the cells of a page stand."""
    (count,) = struct.unpack_from(">H", image, start + 3)
    first = start + _HEADER_BYTES[image[start]]
    end = first + 2 * count
    if end > PAGE_BYTES:
        return None
    found = struct.unpack_from(f">{count}H", image, first)
    return found if all(end <= at < PAGE_BYTES for at in found) and len(set(found)) == count else None


def _cell(image: bytes, at: int, of_table: bool) -> Cell | None:
    rowid = None
    try:
        size, at = _varint(image, at)
        if of_table:
            rowid, at = _varint(image, at)
    except ValueError:
        return None
    if not 0 < size <= _MOST_BYTES:
        return None
    most = _MOST_OF_TABLE if of_table else _MOST_OF_INDEX
    here = size
    if size > most:
        here = _LEAST + (size - _LEAST) % (PAGE_BYTES - _POINTER_BYTES)
        here = here if here <= most else _LEAST
    end = at + here
    if end + (_POINTER_BYTES if here < size else 0) > PAGE_BYTES:
        return None
    overflow = int.from_bytes(image[end : end + _POINTER_BYTES], "big") if here < size else 0
    return Cell(rowid, size, image[at:end], overflow)


def _kinds(row: bytes, start: int) -> tuple[int, list[int]]:
    """Where the values begin, and their types."""
    length, at = _varint(row, start)
    end = start + length
    if not at <= end <= len(row):
        raise ValueError(f"types of {length} bytes")
    kinds = []
    while at < end:
        kind, at = _varint(row, at)
        kinds.append(kind)
    if at != end:
        raise ValueError("a type that ends behind the types")
    return end, kinds


def _types(row: bytes, start: int) -> tuple[int, list[int]]:
    end, kinds = _kinds(row, start)
    return end, [_size(kind) for kind in kinds]


def _size(kind: int) -> int:
    if kind >= 12:
        return (kind - 12) // 2
    if kind == 7:
        return 8
    if kind not in _INTEGER_BYTES:
        raise ValueError(f"type {kind}, which is none")
    return _INTEGER_BYTES[kind]


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """A number of one to nine bytes, the highest seven bits first, and where it ends."""
    value = 0
    for place, byte in enumerate(content[at : at + 9]):
        if place == 8:
            value = value << 8 | byte
            return (value - (1 << 64) if value >> 63 else value), at + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + place + 1
    raise ValueError("ends within a number")


def _written(value: int) -> bytes:
    """A number of up to eight bytes as `_varint` reads it."""
    parts = [value & 0x7F]
    while value := value >> 7:
        parts.append(value & 0x7F | 0x80)
    return bytes(reversed(parts))
