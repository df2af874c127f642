"""Writers of tables, CSV or Parquet, to a file or to standard output.

A file is written beside its place and moved there when it is whole, so that a broken export leaves nothing that looks
like one. Raises `DataError` where it cannot be written.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from receiver.columns import Int32, NodeName, Rows
from receiver.errors import DataError
from receiver.web.instants import format_instant

STDOUT = Path("-")
# Up to here every integer is a float64, so a total of bytes reads better without its ".0" and nothing is lost.
EXACT_INTEGERS = 2.0**53

# Rows, and for each 1 where it is an attack.
Write = Callable[[Rows, Int32], None]


class Format(StrEnum):
    """Of the file that is written."""

    csv = "csv"
    parquet = "parquet"


@contextmanager
def writer(kind: Format, out: Path, features: Sequence[str], names: Mapping[int, NodeName]) -> Iterator[Write]:
    """Open a table of `time`, `node`, `cluster` where a node has one, the features, and `attack`."""
    with_cluster = any(name.cluster for name in names.values())
    open_ = _parquet if kind is Format.parquet else _csv
    try:
        if out == STDOUT:
            with open_(None, features, names, with_cluster) as write:
                yield write
            return
        partial = out.with_name(f".{out.name}.partial")
        try:
            with open_(partial, features, names, with_cluster) as write:
                yield write
            partial.replace(out)
        finally:
            partial.unlink(missing_ok=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise DataError(f"{out}: cannot be written: {error.strerror or error}") from None


@contextmanager
def _csv(
    path: Path | None, features: Sequence[str], names: Mapping[int, NodeName], with_cluster: bool
) -> Iterator[Write]:
    file = sys.stdout if path is None else path.open("w", encoding="utf-8", newline="")
    try:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["time", "node", *(["cluster"] if with_cluster else []), *features, "attack"])

        def write(rows: Rows, attack: Int32) -> None:
            columns = (rows.node.tolist(), rows.time_ms.tolist(), rows.raw.tolist(), attack.tolist())
            for node, time_ms, raw, mark in zip(*columns, strict=True):
                name = names[node]
                entity = (name.node, name.cluster) if with_cluster else (name.node,)
                table.writerow((format_instant(time_ms), *entity, *map(_number, raw), mark))

        yield write
        file.flush()
    finally:
        if path is not None:
            file.close()


def _number(value: float) -> float | int | str:
    if value.is_integer() and abs(value) < EXACT_INTEGERS:
        return int(value)
    return "" if value != value else value


class _Counted:
    """A stream that cannot be sought in, as Parquet's writer wants it: it says how much was written."""

    closed = False  # whose it is closes it

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._written = 0

    def write(self, chunk: bytes) -> int:
        self._stream.write(chunk)
        self._written += len(chunk)
        return len(chunk)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        self.flush()


@contextmanager
def _parquet(
    path: Path | None, features: Sequence[str], names: Mapping[int, NodeName], with_cluster: bool
) -> Iterator[Write]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ModuleNotFoundError:
        raise DataError("Parquet needs the extra: pip install 'nodescore[train]'; or write CSV") from None
    text = [("node", pa.string()), *([("cluster", pa.string())] if with_cluster else [])]
    numbers = [(name, pa.float64()) for name in features]
    schema = pa.schema([("time", pa.timestamp("ms", "UTC")), *text, *numbers, ("attack", pa.int8())])
    with parquet.ParquetWriter(path or _Counted(sys.stdout.buffer), schema, compression="zstd") as table:

        def write(rows: Rows, attack: Int32) -> None:
            found = [names[node] for node in rows.node.tolist()]
            entity = [[name.node for name in found], *([[name.cluster for name in found]] if with_cluster else [])]
            columns = [rows.time_ms, *entity, *rows.raw.T, attack]
            arrays = [pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
            table.write_table(pa.Table.from_arrays(arrays, schema=schema))

        yield write
