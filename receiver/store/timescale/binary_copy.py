"""Rows and scores in the bytes of PostgreSQL's `COPY … FROM STDIN (FORMAT binary)`, rendered as whole arrays.

In: aligned arrays. Out: the bytes of one COPY, whose columns are those of the two staging tables below. Costs some
1 µs a row. Every field has a fixed length, so a block is one structured array: NaN stands for what is missing, and
the statement that reads the staging table turns it into NULL.

The format (PostgreSQL manual, "COPY", file formats): a header, per row the number of fields as i16 and each field as
i32 length and its bytes, at the end the i16 −1. All of it big-endian. A timestamptz is i64 microseconds since
2000-01-01, a real[] is i32 dimensions, i32 has-nulls, i32 element type, i32 length, i32 lower bound, then elements
with their lengths.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from receiver.columns import Float32, Float64, Int32, Int64

_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)  # no flags, no header extension
_TRAILER = b"\xff\xff"
_EPOCH_MS = 946_684_800_000  # 2000-01-01 in Unix milliseconds
_FLOAT4_OID = 700

_Field = tuple[str, NDArray[Any]]  # its type in numpy's words, and its column
_LENGTH = {">i2": 2, ">i4": 4, ">i8": 8, ">f4": 4, ">f8": 8}


def render_samples(part: Int32, node: Int32, time_ms: Int64, raw: Float64) -> bytes:
    """(part int, node int, time timestamptz, one double a feature)."""
    fields: list[_Field] = [(">i4", part), (">i4", node), (">i8", _timestamps(time_ms))]
    return _render([*fields, *((">f8", raw[:, feature]) for feature in range(raw.shape[1]))], [])


def render_scores(
    node: Int32, time_ms: Int64, model: Int32, score: Float32, x: Float32, contribution: Float32
) -> bytes:
    """(node int, time timestamptz, model int, score real, x real[], contribution real[])."""
    fields: list[_Field] = [(">i4", node), (">i8", _timestamps(time_ms)), (">i4", model), (">f4", score)]
    return _render(fields, [x, contribution])


def _timestamps(time_ms: Int64) -> Int64:
    return (time_ms - _EPOCH_MS) * 1000


def _render(fields: Sequence[_Field], vectors: Sequence[Float32]) -> bytes:
    layout: list[tuple[str, str]] = [("fields", ">i2")]
    for i, (kind, _) in enumerate(fields):
        layout += [(f"length{i}", ">i4"), (f"value{i}", kind)]
    head = [("bytes", ">i4"), ("dimensions", ">i4"), ("nulls", ">i4"), ("type", ">i4"), ("n", ">i4"), ("first", ">i4")]
    element = np.dtype([("length", ">i4"), ("value", ">f4")])
    vector_types = [np.dtype([*head, ("elements", element, (vector.shape[1],))]) for vector in vectors]
    whole = [*layout, *((f"vector{i}", type_) for i, type_ in enumerate(vector_types))]

    rows = np.zeros(len(fields[0][1]), np.dtype(whole))
    rows["fields"] = len(fields) + len(vectors)
    for i, (kind, column) in enumerate(fields):
        rows[f"length{i}"] = _LENGTH[kind]
        rows[f"value{i}"] = column
    for i, vector in enumerate(vectors):
        array = rows[f"vector{i}"]
        array["bytes"] = vector_types[i].itemsize - 4
        array["dimensions"], array["type"], array["n"], array["first"] = 1, _FLOAT4_OID, vector.shape[1], 1
        array["elements"]["length"] = 4
        array["elements"]["value"] = vector
    return b"".join((_HEADER, rows.tobytes(), _TRAILER))
