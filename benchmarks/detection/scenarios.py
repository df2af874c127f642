"""Our own scenarios: real attacks on real nodes, recorded through the whole pipeline.

In: the sessions that ship with the project, as `models.scenarios.dataset` reads them. Out: one case. Raises
`DataError`, and `Missing` where no session is recorded yet.

A node of a session is a node of the benchmark; the same name in two sessions is on the same side of the split.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.detection import splits
from benchmarks.detection.cases import START_MS, Case, Episode, Stream, node_table, spliced
from benchmarks.detection.splits import Part
from models import table as tables
from models.measures import FALSE_AFTER_SECONDS
from models.scenarios import dataset, known
from models.scenarios.dataset import Attacked
from models.table import Table, joined
from receiver.columns import Bool
from receiver.errors import DataError

Strength = tuple[str, float]  # kind, and strength in the kind's unit


class Missing(DataError):
    """The data is not there; the message says where it would be."""


@dataclass(frozen=True, slots=True)
class _Node:
    """One node of one session."""

    name: str
    table: Table
    started_ms: int  # its first row, by the clock of the session
    episodes: tuple[Attacked, ...]

    def moved(self, episode: Attacked, node: int, *, unseen: bool) -> Episode:
        """An episode by the clock of the cases."""
        shift = START_MS - self.started_ms
        return Episode(node, episode.start_ms + shift, episode.end_ms + shift, episode.kind, unseen)


def own(part: Part, folder: Path = dataset.DATA) -> list[Case]:
    """One model, trained on some nodes, measured on the others."""
    sessions = _sessions(folder)
    sides = known.sides([[node.name for node in session] for session in sessions])
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


def _unseen(episodes: list[Attacked]) -> set[Strength]:
    """Kinds and strengths that training must not see."""
    by_kind: dict[str, list[float]] = {}
    for episode in episodes:
        by_kind.setdefault(episode.kind, []).append(episode.strength)
    return {(kind, strength) for kind, found in by_kind.items() for strength in splits.unseen_strengths(found)}


def _without(node: _Node, rows: Bool, unseen: set[Strength]) -> Table:
    """Those rows [R] of a node to train on, without the attacks that must not be seen and what follows them."""
    time_ms, keep, attacked = node.table.time_ms, rows.copy(), np.zeros(len(rows), bool)
    for episode in node.episodes:
        moved = node.moved(episode, 0, unseen=False)
        if (episode.kind, episode.strength) in unseen:
            until_ms = moved.end_ms + int(1000 * FALSE_AFTER_SECONDS)
            keep &= (time_ms < moved.start_ms) | (time_ms > until_ms)
        else:
            attacked |= (time_ms >= moved.start_ms) & (time_ms <= moved.end_ms)
    return spliced(node.table, keep | (attacked & rows))


def _sessions(folder: Path) -> list[list[_Node]]:
    paths = dataset.sessions(folder)
    if not paths:
        raise Missing(f"{folder}: no recorded session; `nodescore scenario record` makes one")
    return [_nodes(path) for path in paths]


def _nodes(path: Path) -> list[_Node]:
    table, episodes, found = tables.read(path), dataset.episodes(path), []
    for index, name in enumerate(table.nodes):
        rows = np.flatnonzero(table.node == index)
        rows = rows[np.argsort(table.time_ms[rows], kind="stable")]
        time_ms, attack = table.time_ms[rows], None if table.attack is None else table.attack[rows]
        mine = tuple(episode for episode in episodes if episode.node == name.node)
        one = node_table(f"{path.stem}/{name.node}", table.features, time_ms, table.x[rows], attack)
        found.append(_Node(name.node, one, int(time_ms[0]), mine))
    return found
