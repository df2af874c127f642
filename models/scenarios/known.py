"""The recorded attacks in two halves: what models learn from, and what they are tested on and never learn from.

The nodes of all sessions are told apart once and for good, whoever asks: every second one tests. What ships, what a
cluster retrains, and the benchmark all learn from one half and are judged by the other. Out: tables whose nodes are
named by session, or None where the catalogue has other features. Costs reading the sessions, 0.1 s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from models import table as tables
from models.scenarios import dataset
from models.scenarios.dataset import Attacked, Recordings
from models.table import Table
from receiver.catalogue import Catalogue

Side = Literal["train", "measure"]


@dataclass(frozen=True, slots=True)
class Known:
    """Recorded nodes, and the attacks on them; an attack's node is an index into the table's."""

    table: Table
    attacks: tuple[tuple[int, Attacked], ...]


def sides(sessions: Sequence[Sequence[str]]) -> dict[str, Side]:
    """The side of each node, by the nodes of each session in order.

    Every second node tests, by name in its first session: a session that is recorded later moves none.
    """
    found: dict[str, Side] = {}
    for nodes in sessions:
        for node in sorted(nodes):
            if node not in found:
                found[node] = "measure" if len(found) % 2 else "train"
    return found


def of(catalogue: Catalogue, side: Side) -> Known | None:
    """One half of what is recorded with a catalogue; what teaches lacks rows that an attack before them still moves."""
    recordings = dataset.RECORDINGS.get(catalogue.name)
    if recordings is None:
        return None
    halves = [read(side, catalogue.feature_names, dataset.sessions(folder)) for folder in recordings.folders]
    found = _together([half for half in halves if half is not None])
    return found if found is None or side == "measure" else _without_aftermath(found, recordings)


def read(side: Side | None, features: Sequence[str], paths: Sequence[Path]) -> Known | None:
    """One half of these sessions, or both; None where there is none with these features."""
    read_tables = [tables.read(path) for path in paths]
    if not read_tables or any(set(features) - set(table.features) for table in read_tables):
        return None
    of_node = sides([[name.node for name in table.nodes] for table in read_tables])
    parts: list[Table] = []
    attacks: list[tuple[int, Attacked]] = []
    before = 0
    for path, table in zip(paths, read_tables, strict=True):
        chosen = [number for number, name in enumerate(table.nodes) if side in (None, of_node[name.node])]
        numbers = {table.nodes[number].node: before + place for place, number in enumerate(chosen)}
        attacks += [(numbers[one.node], one) for one in dataset.episodes(path) if one.node in numbers]
        parts.append(_chosen(table.select(features), chosen))
        before += len(chosen)
    return Known(tables.joined(parts), tuple(attacks))


def _together(parts: Sequence[Known]) -> Known | None:
    if not parts:
        return None
    attacks: list[tuple[int, Attacked]] = []
    before = 0
    for part in parts:
        attacks += [(before + node, attack) for node, attack in part.attacks]
        before += len(part.table.nodes)
    return Known(tables.joined([part.table for part in parts]), tuple(attacks))


def _without_aftermath(known: Known, recordings: Recordings) -> Known:
    table = known.table
    after = np.zeros(len(table), np.bool_)
    for node, attack in known.attacks:
        until_ms = recordings.until_ms(attack)
        after |= (table.node == node) & (table.time_ms > attack.end_ms) & (table.time_ms <= until_ms)
    attacked = np.zeros(len(table), np.bool_) if table.attack is None else table.attack
    return replace(known, table=table.take(attacked | ~after))


def _chosen(table: Table, chosen: Sequence[int]) -> Table:
    """The rows of these nodes, which are all of its nodes then."""
    number = np.full(len(table.nodes), -1, np.int32)
    number[list(chosen)] = np.arange(len(chosen))
    rows = table.take(number[table.node] >= 0)
    return replace(rows, nodes=tuple(table.nodes[node] for node in chosen), node=number[rows.node])
