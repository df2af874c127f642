"""Which table a row is of that was found in a page, told by the row itself.

In: a row's key and values. Out: the table and the columns that a row of it has now, or None for what needs not be kept
(indexes, the schema). Raises `ValueError` for what is no row of ours, or proves to be damaged: a record of the journal
and the labels of a series have a checksum, a label and a mute have a digest. Costs some 10 µs a row.

`samples` and `scores` stand for the two tables that are named after a catalogue.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from receiver.store import labelling, mutes
from receiver.store.embedded.journal import decode, series_checksum
from receiver.store.embedded.progress import PROGRESS
from receiver.store.embedded.salvage.cells import Value

_LETTERS = {type(None): "n", int: "i", float: "f", str: "s", bytes: "b"}
# The types of the values behind a row's key; a REAL without a fraction is stored as an integer.
_SHAPES = {
    "journal": re.compile("ib"),
    "series": re.compile("si?"),
    "nodes": re.compile("ss[in]"),
    "models": re.compile("ss"),
    "states": re.compile("sib"),
    "labels": re.compile("sssiii[sn]ssi[ifn][sn](?:[sn]sii)?"),
    "mutes": re.compile("sssissi"),
    "samples": re.compile("iii[ifn]*"),
    "scores": re.compile("iii[ifn]b[bn]"),
}
_SCHEMA, _SEQUENCE = re.compile("sssi[sn]"), re.compile("si")

# Of a label that was stored before labels had revisions.
_OLD_LABEL_COLUMNS = 13

Row = tuple[str, tuple[Any, ...]]  # of which table, and its columns


def row_of(rowid: int | None, found: Sequence[Value]) -> Row | None:
    """Tell what it is; `rowid` is None for a row of an index."""
    if rowid is None:
        return _of_index(found)
    letters = "".join(_LETTERS[type(value)] for value in found)
    if _SCHEMA.fullmatch(letters) or _SEQUENCE.fullmatch(letters):
        return None
    if letters.startswith("n"):  # the key itself
        for table, shape in _SHAPES.items():
            if shape.fullmatch(letters, 1):
                row = (rowid, *found[1:])
                if table == "labels" and len(row) == _OLD_LABEL_COLUMNS:
                    row += (None, str(row[1])[: labelling.KEY_CHARACTERS], 1, 0)
                _prove(table, row)
                return table, row
    raise ValueError("no row of any table")


def _of_index(found: Sequence[Value]) -> Row | None:
    """The table `progress` is an index of itself; the names of nodes and models stand in an index once more."""
    match found:
        case [str() as name, int() as value] if name in PROGRESS:
            return "progress", (name, value)
        case [str() as version, str() as features, int() as id_] if features.startswith('["'):
            return "models", (id_, version, features)
        case [str() as cluster, str() as name, int() as id_]:
            return "nodes", (id_, cluster, name, None)
    return None


def _prove(table: str, row: tuple[Any, ...]) -> None:
    match table, row:
        case "journal", (_, received_ms, bytes() as record):
            if decode(record).received_ms != received_ms:
                raise ValueError("a record of another time")
        case "series", (_, str() as labels, *checksum):
            if checksum not in ([], [series_checksum(labels.encode())]):
                raise ValueError("the checksum is not that of the labels")
            if not all(isinstance(text, str) for pair in json.loads(labels) for text in pair):
                raise ValueError("no labels")
        case "models", (_, _, str() as features) if not isinstance(json.loads(features), list):
            raise ValueError("no list of features")
        case "states", (_, _, _, bytes() as state) if len(state) % 4:
            raise ValueError("half a number")
        case "mutes", (_, digest, *columns):
            if mutes.digest(mutes.from_columns(columns)) != digest:
                raise ValueError("the digest is not that of the mute")
        case "labels", (id_, digest, *columns):
            if labelling.digest(labelling.from_columns([*columns[:9], id_, *columns[9:]])) != digest:
                raise ValueError("the digest is not that of the label")
