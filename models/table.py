"""A table of rows of nodes, from CSV or Parquet, whatever its features are.

In: a file, or a folder of Parquet files that go together, with a column `time` (RFC 3339, `YYYY-MM-DD HH:MM:SS` taken
as UTC, or seconds or milliseconds since 1970), optionally `node` (without it all rows are one node's), `cluster` and
`attack` (0 or 1), and feature columns: every other one, numbers, empty or NaN where missing. Columns that our own
exports put beside the features (`receiver.catalogue.RESERVED_NAMES`) are no features. Out: a `Table`, in the file's
order. Raises `DataError` that names the column and the line. Costs the file in memory, 4 bytes a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from receiver.catalogue import RESERVED_NAMES
from receiver.columns import Bool, Float32, Float64, Int32, Int64, NodeName
from receiver.errors import DataError

_MISSING = ["", "NaN", "nan", "NA", "null", "NULL", "None"]
# Seconds since 1970 reach this in the year 5138, milliseconds passed it in 1973.
_SECONDS_BELOW = 1e11


@dataclass(frozen=True, slots=True)
class Table:
    """R rows of F features."""

    features: tuple[str, ...]
    nodes: tuple[NodeName, ...]
    node: Int32  # [R] index into nodes
    time_ms: Int64  # [R]
    x: Float32  # [R, F] NaN is missing
    attack: Bool | None  # [R]
    time_text: pa.ChunkedArray  # [R] as the file has it
    entity_columns: frozenset[str]  # which of cluster and node the file has
    weight: Float32 | None = None  # [R] how much a row teaches, 0: nothing; None: all alike

    def __len__(self) -> int:
        return len(self.node)

    def take(self, rows: Bool | Int64) -> Table:
        """Some of the rows."""
        index = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        return replace(
            self,
            node=self.node[index],
            time_ms=self.time_ms[index],
            x=self.x[index],
            attack=None if self.attack is None else self.attack[index],
            time_text=self.time_text.take(pa.array(index)),
            weight=None if self.weight is None else self.weight[index],
        )

    def select(self, features: Sequence[str]) -> Table:
        """The table with just these features, in this order. Raises `DataError` where one is not there."""
        lacking = [name for name in features if name not in self.features]
        if lacking:
            raise DataError(
                f"the model needs the features {', '.join(features)}; the table lacks {', '.join(lacking)}, "
                f"it has: {', '.join(self.features)}"
            )
        if tuple(features) == self.features:
            return self
        return replace(self, features=tuple(features), x=self.x[:, [self.features.index(name) for name in features]])

    def normal(self) -> Table:
        """The rows that teach what is normal."""
        normal = self if self.attack is None else self.take(~self.attack)
        return normal if normal.weight is None else normal.take(normal.weight > 0)

    def row_seconds(self) -> Float64:
        """Time since the node's previous row [R]; for a node's first row the median of all."""
        order = np.lexsort((self.time_ms, self.node))
        node, time_ms = self.node[order], self.time_ms[order]
        follows = np.concatenate([[False], node[1:] == node[:-1]])
        seconds = np.where(follows, np.diff(time_ms, prepend=time_ms[:1]) / 1000, np.nan)
        seconds = np.where(follows, seconds, np.nanmedian(seconds) if follows.any() else 0.0)
        ordered = np.empty(len(self))
        ordered[order] = seconds
        return ordered


def joined(parts: Sequence[Table]) -> Table:
    """Tables of the same features as one, each with nodes of its own; labels where all have them, no weights."""
    attacks = [part.attack for part in parts if part.attack is not None]
    nodes_before = np.cumsum([0, *(len(part.nodes) for part in parts[:-1])]).tolist()
    return replace(
        parts[0],
        nodes=tuple(name for part in parts for name in part.nodes),
        node=np.concatenate([part.node + before for part, before in zip(parts, nodes_before, strict=True)]),
        time_ms=np.concatenate([part.time_ms for part in parts]),
        x=np.concatenate([part.x for part in parts]),
        attack=np.concatenate(attacks) if len(attacks) == len(parts) else None,
        time_text=pa.chunked_array([chunk for part in parts for chunk in part.time_text.chunks], pa.string()),
        weight=None,
    )


def files(path: Path) -> list[Path]:
    """What the table at `path` is read from: that file, or a folder's Parquet files by name."""
    if not path.is_dir():
        return [path]
    found = sorted(path.glob("*.parquet"))
    if not found:
        raise DataError(f"{path}: a folder without a .parquet file")
    return found


def read(path: Path) -> Table:
    """The table at `path`; Parquet where its name ends so, a folder's Parquet files as one, else CSV."""
    parquet = path.is_dir() or path.suffix.lower() in {".parquet", ".pq"}
    columns = _read_parquet(files(path)) if parquet else _read_csv(path)
    names = columns.column_names
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise DataError(f"{path}: column {', '.join(double)} is there twice")
    if "time" not in names:
        raise DataError(f"{path}: no column time; it has: {', '.join(names)}")
    features = tuple(name for name in names if name not in RESERVED_NAMES)
    if not features:
        raise DataError(f"{path}: no feature column beside {', '.join(names)}")
    if not columns.num_rows:
        raise DataError(f"{path}: no rows")
    x = np.empty((columns.num_rows, len(features)), np.float32)
    for index, name in enumerate(features):
        x[:, index] = _numbers(columns[name], name, path)
    nodes, node = _entities(columns, path)
    return Table(
        features=features,
        nodes=nodes,
        node=node,
        time_ms=_times(columns["time"], path),
        x=x,
        attack=_attack(columns["attack"], path) if "attack" in names else None,
        time_text=_text(columns["time"]),
        entity_columns=frozenset(names) & {"cluster", "node"},
    )


def _read_csv(path: Path) -> pa.Table:
    # Everything as text first: the time column must come out as it went in, and a fault must name its line.
    try:
        with path.open(encoding="utf-8-sig") as file:
            header = file.readline()
        parse = pyarrow.csv.ParseOptions(newlines_in_values=False)
        names = pyarrow.csv.read_csv(pa.BufferReader(header.encode()), parse_options=parse).column_names
        options = pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), null_values=_MISSING, strings_can_be_null=True
        )
        return pyarrow.csv.read_csv(path, parse_options=parse, convert_options=options)
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise DataError(f"{path}: cannot be read as CSV: {error}") from None


def _read_parquet(paths: Sequence[Path]) -> pa.Table:
    parts = []
    for path in paths:
        try:
            parts.append(pyarrow.parquet.read_table(path))
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{path}: cannot be read as Parquet: {error}") from None
    try:
        return pa.concat_tables(parts, promote_options="permissive")
    except pa.ArrowException as error:
        raise DataError(f"{paths[0].parent}: its Parquet files are no one table: {error}") from None


def _numbers(column: pa.ChunkedArray, name: str, path: Path) -> Float32:
    if pa.types.is_string(column.type):
        column = pc.utf8_trim_whitespace(column)
    try:
        doubles = pc.cast(column, pa.float64())
    except pa.ArrowException:
        raise DataError(f"{path}: column {name}: {_first_bad(column)}") from None
    with np.errstate(over="ignore"):  # beyond float32 is infinite, which models clip
        numbers: Float32 = doubles.to_numpy(zero_copy_only=False).astype(np.float32)
    return numbers


def _first_bad(column: pa.ChunkedArray) -> str:
    """The first value that is no number, and its line, the header being line 1."""
    for line, value in enumerate(column.to_pylist(), 2):
        try:
            if value is not None:
                float(value)
        except (TypeError, ValueError):
            return f"{value!r} in line {line} is no number"
    return f"{column.type} is no number"


def _times(column: pa.ChunkedArray, path: Path) -> Int64:
    if column.null_count:
        line = int(np.flatnonzero(column.is_null().to_numpy())[0]) + 2
        raise DataError(f"{path}: column time: nothing in line {line}")
    if pa.types.is_string(column.type):
        try:
            column = pc.cast(column, pa.float64())
        except pa.ArrowException:
            column = _parsed_times(column, path)
    if pa.types.is_timestamp(column.type):
        milliseconds: Int64 = pc.cast(pc.cast(column, pa.timestamp("ms"), safe=False), pa.int64()).to_numpy()
        return milliseconds
    try:
        number = pc.cast(column, pa.float64()).to_numpy()
    except pa.ArrowException:
        raise DataError(f"{path}: column time is {column.type}, which is no time") from None
    if not (np.abs(number) < 1e14).all():
        line = int(np.flatnonzero(~(np.abs(number) < 1e14))[0]) + 2
        raise DataError(f"{path}: column time: line {line} is neither seconds nor milliseconds since 1970")
    rounded: Int64 = np.rint(np.where(np.abs(number) < _SECONDS_BELOW, number * 1000, number)).astype(np.int64)
    return rounded


def _parsed_times(column: pa.ChunkedArray, path: Path) -> pa.ChunkedArray:
    """ISO times; the fast ways first, which want all alike with a zone, or all without."""
    for zone in ("UTC", None):
        try:
            return pc.cast(column, pa.timestamp("ns", zone))
        except pa.ArrowException:
            continue
    times = []
    for line, text in enumerate(column.to_pylist(), 2):
        try:
            time = datetime.fromisoformat(text.strip())
        except ValueError:
            raise DataError(
                f"{path}: column time: {text!r} in line {line} is neither like 2026-01-31T12:00:00Z nor a number"
            ) from None
        times.append(time if time.tzinfo else time.replace(tzinfo=UTC))
    return pa.chunked_array([pa.array(times, pa.timestamp("us", "UTC"))])


def _entities(columns: pa.Table, path: Path) -> tuple[tuple[NodeName, ...], Int32]:
    """The distinct nodes, in order of appearance, and each row's."""
    names = []
    for column in ("cluster", "node"):
        if column in columns.column_names:
            names.append(pc.fill_null(_text(columns[column]), "").combine_chunks())
        else:
            names.append(pa.array([""] * columns.num_rows))
    if "node" in columns.column_names and pc.any(pc.equal(names[1], "")).as_py():
        line = int(np.flatnonzero(pc.equal(names[1], "").to_numpy(zero_copy_only=False))[0]) + 2
        raise DataError(f"{path}: column node: nothing in line {line}")
    # Joined by what no name holds, so that one dictionary finds the distinct pairs.
    joined = pc.binary_join_element_wise(*names, "\x00").dictionary_encode()
    nodes = tuple(NodeName(*text.split("\x00", 1)) for text in joined.dictionary.to_pylist())
    return nodes, joined.indices.to_numpy().astype(np.int32)


def _attack(column: pa.ChunkedArray, path: Path) -> Bool:
    if pa.types.is_boolean(column.type):
        column = pc.cast(column, pa.int8())
    if pa.types.is_string(column.type):
        lower = pc.utf8_lower(column)
        column = pc.if_else(pc.equal(lower, "true"), "1", pc.if_else(pc.equal(lower, "false"), "0", column))
    number = _numbers(column, "attack", path)
    wrong = np.flatnonzero((number != 0) & (number != 1))
    if len(wrong):
        raise DataError(f"{path}: column attack: line {wrong[0] + 2} is neither 0 nor 1")
    attack: Bool = number == 1
    return attack


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column if pa.types.is_string(column.type) else pc.cast(column, pa.string())
