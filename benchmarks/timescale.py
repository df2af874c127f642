"""Rows a second that the outbox's way writes to a TimescaleDB on this machine: `python -m benchmarks.timescale`.

Each row goes into `node_samples` (24 columns) and `node_scores` (score, vector, contributions). A share of each block
is rows of a block before, made again with other values, which the server has to update in place; their scores are
repeated too, and stay. Two ways: blocks as the outbox makes them through `TimescaleStore.write`, and the whole outbox,
from a service's embedded file in which more waits than the block that it passes on. The server waits for its disk and
has otherwise the settings that it comes with. CPU time is user and system: of this process, and of the server with all
its processes.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import psycopg

from benchmarks.usage import children_cpu_seconds
from receiver import catalogue as catalogues
from receiver.catalogue import Catalogue
from receiver.columns import NodeName, Rows, Scores
from receiver.store.embedded import EmbeddedStore
from receiver.store.outbox import BLOCK_ROWS, Outbox
from receiver.store.protocol import Finished
from receiver.store.timescale import TimescaleStore
from tests.servers.timescale import RootServer, TimescaleServer, empty_database, timescale_server

NODES = 5000
SCRAPE_MS = 10_000
# The outbox's first block opens its connection, makes tables and names nodes; the first of the others is not counted.
WARM_UP_BLOCKS = 2
HOUR_MS = 3_600_000
# Blocks that wait in the file behind the one that is passed on; a row is made again when it has been passed on.
BLOCKS_BEHIND = 2


class Stopwatch:
    """Adds up what happens inside of it: `with watch:`."""

    def __init__(self, server: TimescaleServer) -> None:
        self.server_pid = server.process.pid if isinstance(server, RootServer) else None
        self.rows = 0  # re-made ones included
        self.wall_seconds = self.client_cpu_seconds = self.server_cpu_seconds = 0.0

    def __enter__(self) -> None:
        self._add(-1)

    def __exit__(self, *_: object) -> None:
        self._add(1)

    def _add(self, sign: int) -> None:
        self.wall_seconds += sign * time.monotonic()
        self.client_cpu_seconds += sign * time.process_time()
        if self.server_pid is not None:
            self.server_cpu_seconds += sign * children_cpu_seconds(self.server_pid)


def blocks(count: int, remade_share: float, features: int) -> Iterator[Finished]:
    """Blocks of `BLOCK_ROWS`: new rows of all nodes in turn, and rows of an earlier block with other values."""
    random = np.random.default_rng(1)
    remade = int(BLOCK_ROWS * remade_share)
    new = BLOCK_ROWS - remade
    start_ms = time.time_ns() // 1_000_000 // SCRAPE_MS * SCRAPE_MS
    before = deque([Rows.empty(features)] * (BLOCKS_BEHIND + 1))
    for block in range(count):
        number = np.arange(block * new, (block + 1) * new)
        node, time_ms = (number % NODES).astype(np.int32), start_ms + number // NODES * SCRAPE_MS
        passed_on = before.popleft()
        again = random.permutation(len(passed_on))[:remade]
        rows = Rows(
            node=np.concatenate([node, passed_on.node[again]]),
            time_ms=np.concatenate([time_ms, passed_on.time_ms[again]]),
            raw=random.lognormal(10, 5, (len(node) + len(again), features)),
            x=random.normal(0, 1, (len(node) + len(again), features)).astype(np.float32),
        )
        contribution = np.divide(np.abs(rows.x), features, dtype=np.float32)
        score = contribution.sum(axis=1).astype(np.float32)
        scores = Scores(rows.node, rows.time_ms, score, rows.x, contribution)
        yield Finished(rows, Rows.empty(features), scores, "benchmark", 0)
        before.append(Rows(node, time_ms, rows.raw[:new], rows.x[:new]))


def through_store(dsn: str, catalogue: Catalogue, several: list[Finished], watch: Stopwatch) -> None:
    """Each block in a transaction, as the outbox calls it."""
    store = TimescaleStore.connect(dsn, catalogue)
    store.add_nodes(_names())
    for block in several[:WARM_UP_BLOCKS]:
        store.write(block)
    with watch:
        for block in several[WARM_UP_BLOCKS:]:
            store.write(block)
            watch.rows += len(block.rows)
    store.close()


def through_outbox(dsn: str, catalogue: Catalogue, several: list[Finished], watch: Stopwatch) -> None:
    """From a file that a service writes, and that is some blocks ahead."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "nodescore.sqlite")
        embedded = EmbeddedStore.open(path, catalogue, "normal")
        embedded.add_nodes(_names())
        outbox = Outbox(path, catalogue, lambda: TimescaleStore.connect(dsn, catalogue), HOUR_MS, 100 * HOUR_MS)
        now_ms = time.time_ns() // 1_000_000
        for number, block in enumerate(several):
            embedded.write(block)
            if number < BLOCKS_BEHIND:
                continue
            if number < BLOCKS_BEHIND + WARM_UP_BLOCKS:
                outbox.forward_once(now_ms)
                continue
            with watch:
                outbox.forward_once(now_ms)
            watch.rows += BLOCK_ROWS
        while outbox.lag.rows_waiting:
            outbox.forward_once(now_ms)
        outbox.close()
        embedded.close()


WAYS: dict[str, Callable[[str, Catalogue, list[Finished], Stopwatch], None]] = {
    "TimescaleStore.write": through_store,
    "the whole outbox": through_outbox,
}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--blocks", type=int, default=60, help=f"of {BLOCK_ROWS} rows")
    parser.add_argument("--remade", type=float, nargs="*", default=[0.0, 0.1], help="shares of rows made again")
    parser.add_argument("--fsync", choices=("on", "off"), default="on")
    given = parser.parse_args()
    catalogue = catalogues.load()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        try:
            server = stack.enter_context(timescale_server(folder, fsync=given.fsync == "on"))
        except LookupError as error:
            sys.exit(f"timescale: {error}")
        print(f"{platform.platform()}, Python {platform.python_version()}, {_describe(server)}\n")
        print("| way | made again | rows a second | client CPU µs a row | server CPU µs a row |")
        print("| --- | --- | --- | --- | --- |")
        for share in given.remade:
            several = list(blocks(given.blocks, share, len(catalogue.feature_names)))
            for name, way in WAYS.items():
                watch = Stopwatch(server)
                with empty_database(server) as dsn:
                    way(dsn, catalogue, several, watch)
                server_us = f"{1e6 * watch.server_cpu_seconds / watch.rows:.1f}" if watch.server_pid else "unknown"
                print(
                    f"| {name} | {share:.0%} | {watch.rows / watch.wall_seconds:,.0f} "
                    f"| {1e6 * watch.client_cpu_seconds / watch.rows:.1f} | {server_us} |",
                    flush=True,
                )


def _names() -> dict[int, NodeName]:
    return {node: NodeName("", f"node-{node:05}:9100") for node in range(NODES)}


def _describe(server: TimescaleServer) -> str:
    with psycopg.connect(server.dsn) as connection:
        asked = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "max_wal_size", "shared_buffers")
        found = [(name, *connection.execute("SELECT current_setting(%s)", (name,)).fetchall()[0]) for name in asked]
    return ", ".join(f"{name} {value}" for name, value in found)


if __name__ == "__main__":
    main()
