"""Rows and scores in the bytes of PostgreSQL's `COPY … FROM STDIN (FORMAT binary)`, rendered as whole arrays.

In: aligned arrays, NaN where a value is missing. Out: the bytes of one COPY, NULL where a value is missing. Costs
some 1 µs a row. A block is one structured array; a NULL has a length of −1 and no bytes behind it, so that the bytes
of missing values are left out of the array at the end: one mask over all of its bytes, where any value is missing.

The format (PostgreSQL manual, "COPY", file formats): a header, per row the number of fields as i16 and each field as
i32 length and its bytes, at the end the i16 −1. All of it big-endian. A timestamptz is i64 microseconds since
2000-01-01, a real[] is i32 dimensions, i32 has-nulls, i32 element type, i32 length, i32 lower bound, then elements
with their lengths.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from receiver.columns import Float32, Float64, Int32, Int64

_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)  # no flags, no header extension
_TRAILER = b"\xff\xff"
_EPOCH_MS = 946_684_800_000  # 2000-01-01 in Unix milliseconds
_FLOAT4_OID = 700
_LENGTH_BYTES = 4


def render_samples(node: Int32, time_ms: Int64, raw: Float64, part: Int32 | None = None) -> bytes:
    """(node int, time timestamptz, one double a feature), and behind them part int where one is given."""
    features = raw.shape[1]
    numbered = [] if part is None else [("part", _field(">i4"))]
    layout = [("node", _field(">i4")), ("time", _field(">i8")), ("raw", (_field(">f8"), (features,))), *numbered]
    rows = _rows(len(node), 2 + features + len(numbered), layout)
    _put(rows["node"], node)
    _put(rows["time"], _timestamps(time_ms))
    _put(rows["raw"], raw)
    if part is not None:
        _put(rows["part"], part)
    return _bytes(rows, {"raw": np.isnan(raw)})


def render_scores(
    node: Int32, time_ms: Int64, model: Int32, score: Float32, x: Float32, contribution: Float32
) -> bytes:
    """(node int, time timestamptz, model int, score real, x real[], contribution real[]).

    A contribution without any value is NULL; x, and a contribution with some values, keep NaN among theirs.
    """
    layout = [("node", _field(">i4")), ("time", _field(">i8")), ("model", _field(">i4")), ("score", _field(">f4"))]
    vectors = [("x", _vector(x.shape[1])), ("contribution", _vector(contribution.shape[1]))]
    rows = _rows(len(node), len(layout) + len(vectors), [*layout, *vectors])
    _put(rows["node"], node)
    _put(rows["time"], _timestamps(time_ms))
    _put(rows["model"], model)
    _put(rows["score"], score)
    _put_vector(rows["x"], x)
    _put_vector(rows["contribution"], contribution)
    return _bytes(rows, {"score": np.isnan(score), "contribution": np.all(np.isnan(contribution), axis=1)})


def _timestamps(time_ms: Int64) -> Int64:
    return (time_ms - _EPOCH_MS) * 1000


def _field(kind: str) -> np.dtype[Any]:
    return np.dtype([("length", ">i4"), ("value", kind)])


def _vector(length: int) -> np.dtype[Any]:
    head = [(name, ">i4") for name in ("length", "dimensions", "nulls", "type", "n", "first")]
    return np.dtype([*head, ("elements", _field(">f4"), (length,))])


def _rows(count: int, fields: int, layout: list[tuple[str, Any]]) -> NDArray[Any]:
    rows = np.zeros(count, np.dtype([("fields", ">i2"), *layout]))
    rows["fields"] = fields
    return rows


def _put(field: NDArray[Any], column: NDArray[Any]) -> None:
    field["length"] = field["value"].itemsize
    field["value"] = column


def _put_vector(field: NDArray[Any], vector: Float32) -> None:
    field["length"] = field.itemsize - _LENGTH_BYTES
    field["dimensions"], field["type"], field["n"], field["first"] = 1, _FLOAT4_OID, vector.shape[1], 1
    _put(field["elements"], vector)


def _bytes(rows: NDArray[Any], missing: Mapping[str, NDArray[np.bool_]]) -> bytes:
    """The whole COPY; `missing` says of fields, or of arrays of fields, which are NULL."""
    if not any(absent.any() for absent in missing.values()):
        return b"".join((_HEADER, rows.tobytes(), _TRAILER))
    places: Mapping[str, Any] = rows.dtype.fields or {}
    stays = np.ones((len(rows), rows.itemsize), bool)
    for name, absent in missing.items():
        rows[name]["length"][absent] = -1
        kind, start = places[name][:2]
        of_field = np.ones((*absent.shape, kind.base.itemsize), bool)
        of_field[absent, _LENGTH_BYTES:] = False
        stays[:, start : start + kind.itemsize] = of_field.reshape(len(rows), -1)
    body = rows.view(np.uint8).reshape(len(rows), -1)[stays]
    return b"".join((_HEADER, body.tobytes(), _TRAILER))
