"""What is trained on and what is measured: a `Case`; and how streams of rows are made and cut.

A set is a list of cases: one for each workload, machine or node that is left out. A case trains one model and runs
it, by the step that serves, over `streams`, each from the model's initial state, or from what it knows after looking
back on the stream's past. `views` say which rows of a stream count; rows before them are run through, as a service
would. Views of the same name are measured together, over the nodes of all cases of a set.

Tables are made here from arrays; their times are those of a clock that starts at `START_MS` on every node, so that
one step of a model serves all nodes of a stream, and a share of a table in time is that share of each node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from models.table import Table
from models.train import Objective
from receiver.columns import Bool, Float32, Int64, NodeName

START_MS = 1_700_000_000_000


@dataclass(frozen=True, slots=True)
class Episode:
    """One attack on one node."""

    node: int  # index into the nodes of its stream
    start_ms: int
    end_ms: int
    kind: str
    unseen: bool = False  # training had no attack of this kind and strength


@dataclass(frozen=True, slots=True)
class Stream:
    """Rows that a model runs over."""

    name: str
    table: Table
    views: Mapping[str, Bool]  # rows [R] that count, by the name under which they do
    episodes: tuple[Episode, ...] = ()
    past: Table | None = None  # rows of its one node right before, which the model looks back on


@dataclass(frozen=True, slots=True)
class Case:
    """A model to train, and what it is judged by."""

    name: str
    train: Table
    objective: Objective
    streams: tuple[Stream, ...]


def whole(name: str, table: Table, episodes: tuple[Episode, ...] = ()) -> Stream:
    """A stream of which every row counts."""
    return Stream(name, table, {name: np.ones(len(table), bool)}, episodes)


def node_table(
    name: str,
    features: Sequence[str],
    time_ms: Int64,
    x: Float32,
    attack: Bool | None = None,
    *,
    start_ms: int = START_MS,
) -> Table:
    """The rows of one node in time order: `time_ms` [R] counts from its first row's, x is [R, F], attack [R]."""
    time_ms = time_ms - time_ms[0] + start_ms
    return Table(
        features=tuple(features),
        nodes=(NodeName("", name),),
        node=np.zeros(len(time_ms), np.int32),
        time_ms=time_ms,
        x=x.astype(np.float32),
        attack=attack,
        time_text=pa.chunked_array([pa.array(time_ms).cast(pa.string())]),
        entity_columns=frozenset({"node"}),
    )


def without_labels(table: Table) -> Table:
    """The same rows, nothing said of attacks."""
    return replace(table, attack=None)


def spliced(table: Table, keep: Bool) -> Table:
    """The rows [R] of one node that are kept; the time of the others is taken out, so that no gaps tell of them.

    So a stream with its attacks cut out is that of a node which was never attacked.
    """
    step_ms = np.diff(table.time_ms, prepend=table.time_ms[0])
    typical_ms = int(np.median(step_ms[1:]))
    follows = np.concatenate([[False], keep[:-1]])
    step_ms = np.where(follows, step_ms, typical_ms)[keep]
    step_ms[0] = 0
    return replace(table.take(keep), time_ms=START_MS + np.cumsum(step_ms))


def thinned(attack: Bool, share: float) -> Bool:
    """Rows [R] to keep so that attacks take at most `share` of them: whole runs of attack rows, evenly spread."""
    edges = np.diff(np.concatenate([[0], attack.astype(np.int8), [0]]))
    first, after = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    allowed = share / (1 - share) * (~attack).sum()
    for count in range(len(first), -1, -1):
        chosen = np.unique(np.linspace(0, len(first) - 1, count + 2)[1:-1].round().astype(int))
        if (after - first)[chosen].sum() <= allowed:
            break
    keep = ~attack
    for run in chosen:
        keep[first[run] : after[run]] = True
    return keep
