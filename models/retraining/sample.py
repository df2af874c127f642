"""Some of the rows of a store: as many as a model can learn from, wherever something was said of them or not.

In: a reader of a store, a span of time, the labels of it, a seed. Out: a `Sample` of whole windows: hours that are
the same for all nodes of the sample, drawn until there are `MOST_ROWS`, and what lies around each label. A node's
rows keep their times, so that its baseline goes from window to window. The same span and seed give the same windows.
Raises what the reader raises. Costs the rows in memory, twice while they are read, and the queries of the windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from models.table import Table
from receiver.columns import Bool, Float32, Int64, NodeName, Scores
from receiver.store import Label, RowReader

# A window is long enough for a baseline to settle in.
WINDOW_MS = 3_600_000
# What learners are fitted to is a fraction of this; more hours and nodes say more than more rows of each.
MOST_ROWS = 400_000
# Nodes beside those with labels. Where there are more, some speak for all.
MOST_NODES = 200
# What is read before a label, for the baseline, and after it; of a longer label its first part is read.
LEAD_MS, AFTER_MS, LONGEST_MS = 1_800_000, 300_000, 7_200_000
# The newest ones; for each a window is read.
MOST_LABELS = 1000


@dataclass(frozen=True, slots=True)
class Sample:
    """R stored rows by node and time; the table's `attack` and `weight` say nothing yet."""

    table: Table
    score: Float32  # [R] that the service gave
    drawn: Bool  # [R] in a window that was drawn, not read because of a label
    labels: tuple[Label, ...]  # of the nodes in the table


def draw(
    reader: RowReader,
    labels: Sequence[Label],
    since_ms: int,
    until_ms: int,
    features: Sequence[str],
    seed: int,
    most_rows: int = MOST_ROWS,
) -> Sample | None:
    """Rows with since ≤ time < until, and those around labels wherever they are; None where there are none."""
    random = np.random.default_rng(seed)
    starts = random.permutation(np.arange(since_ms, until_ms, WINDOW_MS)).tolist()
    names = reader.nodes()
    said = sorted(labels, key=lambda label: label.created_ms)[-MOST_LABELS:]
    chosen = _nodes(names, {label.name for label in said}, random)
    blocks: list[Scores] = []
    drawn: list[Bool] = []
    rows = 0
    for start_ms in starts:
        for block in reader.read_scores(start_ms, min(start_ms + WINDOW_MS, until_ms), chosen):
            blocks.append(block)
            drawn.append(np.ones(len(block), bool))
            rows += len(block)
        if rows >= most_rows:
            break
    ids = {name: id_ for id_, name in names.items()}
    for label in said:
        if label.name in ids:
            for block in reader.read_scores(*_around(label), [ids[label.name]]):
                blocks.append(block)
                drawn.append(np.zeros(len(block), bool))
    if not sum(map(len, blocks)):
        return None
    return _joined(blocks, drawn, names, features, said)


def _nodes(names: dict[int, NodeName], labelled: set[NodeName], random: np.random.Generator) -> list[int]:
    """The ids of nodes to read: those with labels, and others up to `MOST_NODES`."""
    others = [id_ for id_, name in sorted(names.items()) if name not in labelled]
    some = random.permutation(len(others))[:MOST_NODES]
    return sorted([id_ for id_, name in names.items() if name in labelled] + [others[place] for place in some])


def _around(label: Label) -> tuple[int, int]:
    """From when on and until when rows are read for a label."""
    return label.start_ms - LEAD_MS, min(label.end_ms, label.start_ms + LONGEST_MS) + AFTER_MS


def _joined(
    blocks: Sequence[Scores],
    drawn: Sequence[Bool],
    names: dict[int, NodeName],
    features: Sequence[str],
    labels: Sequence[Label],
) -> Sample:
    """Each row once, by node and time; one that was drawn and stands near a label too was drawn."""
    node = np.concatenate([block.node for block in blocks])
    time_ms = np.concatenate([block.time_ms for block in blocks])
    was_drawn = np.concatenate(list(drawn))
    order = np.lexsort((~was_drawn, time_ms, node))
    first = np.ones(len(order), bool)
    first[1:] = (np.diff(node[order]) != 0) | (np.diff(time_ms[order]) != 0)
    rows: Int64 = order[first]
    ids, number = np.unique(node[rows], return_inverse=True)
    named = tuple(names[id_] for id_ in ids.tolist())
    table = Table(
        features=tuple(features),
        nodes=named,
        node=number.astype(np.int32),
        time_ms=time_ms[rows],
        x=np.concatenate([block.x for block in blocks])[rows],
        attack=None,
        time_text=pa.chunked_array([pa.nulls(len(rows), pa.string())]),
        entity_columns=frozenset({"cluster", "node"}),
    )
    score = np.concatenate([block.score for block in blocks])[rows]
    there = set(named)
    return Sample(table, score, was_drawn[rows], tuple(label for label in labels if label.name in there))
