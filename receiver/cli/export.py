"""`nodescore export`: the data set of one's own cluster, with its labels."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from receiver.cli import options
from receiver.cli.dataset import attacks, decimal, limited, moments, thinned, with_raw
from receiver.cli.places import check_file
from receiver.cli.progress import progress
from receiver.cli.stores import reading
from receiver.cli.tables import STDOUT, Format, writer
from receiver.columns import NodeName, Rows
from receiver.errors import DataError
from receiver.store import RowReader
from receiver.web.instants import parse_duration_ms


def export(
    out: Annotated[Path, typer.Argument(help="File to write, .csv or .parquet; - is standard output.")] = STDOUT,
    since: Annotated[str, typer.Option(help="First time: RFC 3339, Unix seconds, or like -24h.")] = "0",
    until: Annotated[str, typer.Option(help="Time after the last.")] = "now",
    node: Annotated[list[str] | None, typer.Option(help="Only this node; may be given again.")] = None,
    records: Annotated[int | None, typer.Option(min=1, help="At most so many rows, from the first on.")] = None,
    interval: Annotated[str | None, typer.Option(help="Only a node's last row in each, like 60s or 5m.")] = None,
    inputs: Annotated[
        bool, typer.Option("--inputs", help="What a detector sees instead of totals: rates, shares, values.")
    ] = False,
    zscore: Annotated[bool, typer.Option("--zscore", help="Z-scored columns: the paper's Table 3.")] = False,
    format_: Annotated[
        Format | None, typer.Option("--format", help="Instead of the one that the file's name says.")
    ] = None,
    data_dir: options.DataDirOption = None,
    store: options.StoreOption = None,
    config: options.ConfigOption = None,
) -> None:
    """Write stored rows as a table: time, node, the raw features, and attack by the labels.

    A column cluster stands beside node where a node has one. A value that was not scraped is empty.

        nodescore export data.csv --since -24h

        nodescore export week.parquet --since -7d --interval 60s --zscore

        nodescore export train.csv --inputs
    """
    settings, catalogue = options.load(config, data_dir=data_dir, store=store)
    now_ms = int(time.time() * 1000)
    since_ms, until_ms = options.span_ms(since, until, now_ms)
    interval_ms = _interval_ms(interval)
    kind = format_ or (Format.parquet if out.suffix.lower() in (".parquet", ".pq") else Format.csv)
    if kind is Format.parquet and out == STDOUT and sys.stdout.isatty():
        raise DataError("Parquet is nothing for a terminal; name a file")
    if out != STDOUT:
        check_file(out)
    with reading(settings, catalogue) as reader:
        names = reader.nodes()
        chosen = _chosen(names, node)
        exported = names if chosen is None else {index: names[index] for index in chosen}
        labels = reader.labels(since_ms, until_ms)

        def table(text: str) -> Iterator[Rows]:
            rows: Iterator[Rows] = _watched(reader, since_ms, until_ms, chosen, text)
            if inputs:
                rows = (with_raw(block, decimal(block.x)) for block in rows)
            thin = rows if interval_ms is None else thinned(rows, interval_ms)
            return thin if records is None else limited(thin, records)

        scale = moments(table("measuring"), len(catalogue.features)) if zscore else None
        with writer(kind, out, catalogue.feature_names, exported) as write:
            for rows in table("writing"):
                shown = rows if scale is None else with_raw(rows, scale.zscored(rows.raw))
                write(shown, attacks(rows, names, labels))


def _interval_ms(text: str | None) -> int | None:
    try:
        interval_ms = None if text is None else parse_duration_ms(text)
    except ValueError as error:
        raise DataError(f"--interval: {error}") from None
    if interval_ms == 0:
        raise DataError("--interval: must be longer than 0")
    return interval_ms


def _chosen(names: dict[int, NodeName], wanted: list[str] | None) -> list[int] | None:
    if not wanted:
        return None
    missing = sorted(set(wanted) - {name.node for name in names.values()})
    if missing:
        raise DataError(f"--node: the store has no node {', '.join(missing)}")
    return [index for index, name in names.items() if name.node in wanted]


def _watched(reader: RowReader, since_ms: int, until_ms: int, nodes: list[int] | None, text: str) -> Iterator[Rows]:
    """The reader's rows, with a bar that goes by their time."""
    blocks = reader.read_rows(since_ms, until_ms, nodes)
    first = next(blocks, None)
    if first is None:
        return
    done_ms = int(first.time_ms[0])
    with progress(until_ms - done_ms, text) as advance:
        for rows in chain([first], blocks):
            yield rows
            advance(int(rows.time_ms[-1]) - done_ms)
            done_ms = int(rows.time_ms[-1])
