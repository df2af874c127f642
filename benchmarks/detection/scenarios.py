"""Our own scenarios: real attacks on real nodes, recorded through the whole pipeline.

In: the folder that ships with the project, `models/scenarios/data`, of any number of sessions. A session is a Parquet
file of rows (`time`, `node`, `attack`, features as the model sees them) and a table of its episodes (Parquet or CSV:
`kind`, `strength`, `node`, `start`, `end`). Files are told apart by their columns; sessions are in the order of their
names. Out: one case. Raises `DataError`, and `Missing` where there is no session yet.

A node of a session is a node of the benchmark; the same name in two sessions is on the same side of the split.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from benchmarks.detection import splits
from benchmarks.detection.cases import START_MS, Case, Episode, Stream, joined, node_table, spliced
from benchmarks.detection.splits import Part
from models import table as tables
from models.measures import FALSE_AFTER_SECONDS
from models.table import Table
from receiver.columns import Bool, Int64
from receiver.errors import DataError

FOLDER = Path("models/scenarios/data")
_EPISODE_COLUMNS = ("kind", "strength", "node", "start", "end")


class Missing(DataError):
    """The data is not there; the message says where it would be."""


@dataclass(frozen=True, slots=True)
class _Episode:
    kind: str
    strength: Any  # a number or a word, alike in all sessions
    node: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class _Node:
    """One node of one session."""

    name: str
    table: Table
    started_ms: int  # its first row, by the clock of the session
    episodes: tuple[_Episode, ...]

    def moved(self, episode: _Episode, node: int, *, unseen: bool) -> Episode:
        """An episode by the clock of the cases."""
        shift = START_MS - self.started_ms
        return Episode(node, episode.start_ms + shift, episode.end_ms + shift, episode.kind, unseen)


def own(part: Part, folder: Path = FOLDER) -> list[Case]:
    """One model, trained on some nodes, measured on the others."""
    sessions = _sessions(folder)
    sides = splits.scenario_nodes([[node.name for node in session] for session in sessions])
    unseen = _unseen([episode for session in sessions for node in session for episode in node.episodes])
    training = [node for session in sessions for node in session if sides[node.name] == "train"]
    judged = [node for session in sessions for node in session if sides[node.name] == "measure"]
    if part == "tuning":
        judged = training
        early = [splits.until(len(node.table), splits.SCENARIOS_TUNING_TRAIN) for node in training]
        views = np.concatenate([~rows for rows in early]) if early else np.empty(0, bool)
    else:
        early = [np.ones(len(node.table), bool) for node in training]
        views = np.concatenate([np.ones(len(node.table), bool) for node in judged]) if judged else np.empty(0, bool)
    if not training or not judged:
        raise DataError(f"{folder}: {len(training)} nodes to train on and {len(judged)} to measure")
    train = [_without(node, rows, unseen) for node, rows in zip(training, early, strict=True)]
    episodes = tuple(
        node.moved(episode, index, unseen=(episode.kind, episode.strength) in unseen)
        for index, node in enumerate(judged)
        for episode in node.episodes
    )
    stream = Stream("all", joined([node.table for node in judged]), {"all": views}, episodes)
    return [Case("all", joined(train), "budget", (stream,))]


def _unseen(episodes: list[_Episode]) -> set[tuple[str, Any]]:
    """Kinds and strengths that training must not see."""
    by_kind: dict[str, list[Any]] = {}
    for episode in episodes:
        by_kind.setdefault(episode.kind, []).append(episode.strength)
    return {(kind, strength) for kind, found in by_kind.items() for strength in splits.unseen_strengths(found)}


def _without(node: _Node, rows: Bool, unseen: set[tuple[str, Any]]) -> Table:
    """Those rows [R] of a node to train on, without the attacks that must not be seen and what follows them."""
    keep = rows.copy()
    for episode in node.episodes:
        if (episode.kind, episode.strength) in unseen:
            moved = node.moved(episode, 0, unseen=True)
            until_ms = moved.end_ms + int(1000 * FALSE_AFTER_SECONDS)
            keep &= (node.table.time_ms < moved.start_ms) | (node.table.time_ms > until_ms)
    return spliced(node.table, keep)


def _sessions(folder: Path) -> list[list[_Node]]:
    paths = sorted(path for path in folder.glob("*") if path.suffix in {".parquet", ".csv"}) if folder.is_dir() else []
    rows, episodes = [], []
    for path in paths:
        names = pyarrow.parquet.read_schema(path).names if path.suffix == ".parquet" else _csv(path).column_names
        if set(_EPISODE_COLUMNS) <= set(names):
            episodes += _episodes(path)
        elif {"time", "node", "attack"} <= set(names):
            rows.append(path)
    if not rows:
        raise Missing(f"{folder}: no recorded session; `nodescore scenario record` makes one")
    return [_nodes(path, episodes) for path in rows]


def _nodes(path: Path, episodes: list[_Episode]) -> list[_Node]:
    """The nodes of a session; an episode is of the session in whose time it lies."""
    table, found = tables.read(path), []
    for index, name in enumerate(table.nodes):
        own_rows = np.flatnonzero(table.node == index)
        own_rows = own_rows[np.argsort(table.time_ms[own_rows], kind="stable")]
        time_ms = table.time_ms[own_rows]
        attack = None if table.attack is None else table.attack[own_rows]
        mine = [
            episode
            for episode in episodes
            if episode.node == name.node and episode.start_ms <= time_ms[-1] and episode.end_ms >= time_ms[0]
        ]
        one = node_table(f"{path.stem}/{name.node}", table.features, time_ms, table.x[own_rows], attack)
        found.append(_Node(name.node, one, int(time_ms[0]), tuple(mine)))
    return found


def _episodes(path: Path) -> list[_Episode]:
    columns = pyarrow.parquet.read_table(path) if path.suffix == ".parquet" else _csv(path)
    start_ms, end_ms = _milliseconds(columns["start"], path), _milliseconds(columns["end"], path)
    return [
        _Episode(kind, strength, node, int(start), int(end))
        for kind, strength, node, start, end in zip(
            columns["kind"].to_pylist(),
            columns["strength"].to_pylist(),
            columns["node"].to_pylist(),
            start_ms,
            end_ms,
            strict=True,
        )
    ]


def _milliseconds(column: pa.ChunkedArray, path: Path) -> Int64:
    """A time, seconds or milliseconds since 1970, as milliseconds."""
    if pa.types.is_timestamp(column.type):
        stamped: Int64 = pc.cast(pc.cast(column, pa.timestamp("ms", column.type.tz), safe=False), pa.int64()).to_numpy()
        return stamped
    try:
        number = pc.cast(column, pa.float64()).to_numpy()
    except pa.ArrowException:
        raise DataError(f"{path}: column {column.type} is no time: a timestamp or a number is wanted") from None
    milliseconds: Int64 = np.rint(np.where(number < 1e11, 1000 * number, number)).astype(np.int64)
    return milliseconds


def _csv(path: Path) -> pa.Table:
    return pyarrow.csv.read_csv(path)
