"""Small blocks of rows for the stores' tests, over a catalogue of three features that has nothing of the 24."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import psycopg

from receiver.catalogue import Catalogue, parse
from receiver.columns import Float32, NodeName, Rows, Samples, Scores
from receiver.store import Finished, JournalRecord, Label, RowReader, States

NAN = float("nan")
# A Friday in November 2026, with milliseconds that no power of two divides.
T0 = 1_795_161_600_123
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

Row = tuple[int, int, Sequence[float]]  # node, time_ms, one value a feature

_TEXT = """
name = "pump"
[entity]
cluster = ["site"]
node = ["pump"]
target = ["job"]
"""


def catalogue_of(*features: str) -> Catalogue:
    """A catalogue named `pump` with these features."""
    tables = "".join(
        f'[[feature]]\nname = "{name}"\nhelp = ""\nunit = "u"\nkind = "gauge"\nsource = [{{ metric = "m_{name}" }}]\n'
        for name in features
    )
    return parse(_TEXT + tables, "test")


CATALOGUE = catalogue_of("flow", "heat", "order")  # the last is a word of SQL
FEATURES = 3
SCHEMA = "nodescore_pump"  # of its tables in TimescaleDB
Database = psycopg.Connection[tuple[object, ...]]  # as a test sees it, beside the store


def rows_of(*rows: Row) -> Rows:
    """A block of rows; x is left missing."""
    block = Rows.empty(FEATURES)
    if not rows:
        return block
    node, time_ms, raw = zip(*rows, strict=True)
    return Rows(
        node=np.array(node, np.int32),
        time_ms=np.array(time_ms, np.int64),
        raw=np.array(raw, np.float64),
        x=np.full((len(rows), FEATURES), np.nan, np.float32),
    )


def scores_of(*scores: tuple[int, int, float, Sequence[float], Sequence[float]]) -> Scores:
    """A block of (node, time_ms, score, x, contribution)."""
    if not scores:
        return Scores.empty(FEATURES)
    node, time_ms, score, x, contribution = zip(*scores, strict=True)
    return Scores(
        node=np.array(node, np.int32),
        time_ms=np.array(time_ms, np.int64),
        score=np.array(score, np.float32),
        x=np.array(x, np.float32),
        contribution=np.array(contribution, np.float32),
    )


def finished(
    rows: Iterable[Row] = (),
    fills: Iterable[Row] = (),
    scores: Scores | None = None,
    model_version: str = "v1",
    consumed_seq: int = 0,
) -> Finished:
    """What one flush writes."""
    return Finished(rows_of(*rows), rows_of(*fills), scores or scores_of(), model_version, consumed_seq)


def states_of(model: str, *nodes: int, width: int = 4) -> States:
    """States that tell their node."""
    return States(
        model,
        np.array(nodes, np.int32),
        np.array(nodes, np.int64) + T0,
        np.repeat(np.array(nodes, np.float32)[:, None], width, 1),
    )


def names(count: int) -> dict[int, NodeName]:
    """Names of the nodes 1 to count; the last two share theirs, in two clusters."""
    named = {i: NodeName("east", f"pump-{i}") for i in range(1, count + 1)}
    return named | {count: NodeName("west", f"pump-{count - 1}")} if count > 1 else named


def record(received_ms: int, *samples: tuple[int, int, float]) -> JournalRecord:
    """A journal record of (series, time_ms, value)."""
    series, time_ms, value = zip(*samples, strict=True) if samples else ((), (), ())
    return JournalRecord(
        received_ms,
        Samples(np.array(series, np.int32), np.array(time_ms, np.int64), np.array(value, np.float64)),
    )


def label(node: NodeName, start_ms: int, end_ms: int, *, attack: bool = True, created_ms: int = T0) -> Label:
    """A label without a verdict."""
    return Label(node, start_ms, end_ms, attack, None, "port scan", "ann", created_ms)


Stored = dict[tuple[NodeName, int], tuple[float | None, ...]]


def stored_rows(store: RowReader) -> Stored:
    """Everything that the store has, by name and time, with None for missing."""
    found: Stored = {}
    nodes = store.nodes()
    for block in store.read_rows(0, 1 << 50):
        for node, time_ms, raw in zip(block.node.tolist(), block.time_ms.tolist(), block.raw, strict=True):
            assert (nodes[node], time_ms) not in found
            found[nodes[node], time_ms] = _optional(raw)
    return found


def stored_scores(
    store: RowReader,
) -> dict[tuple[NodeName, int], tuple[float, tuple[float | None, ...], tuple[float | None, ...]]]:
    """All scores: score, x and contribution by name and time."""
    nodes = store.nodes()
    return {
        (nodes[node], time_ms): (score, _optional(x), _optional(contribution))
        for block in store.read_scores(0, 1 << 50)
        for node, time_ms, score, x, contribution in zip(
            block.node.tolist(),
            block.time_ms.tolist(),
            block.score.tolist(),
            block.x,
            block.contribution,
            strict=True,
        )
    }


def _optional(values: Float32 | np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> tuple[float | None, ...]:
    return tuple(None if np.isnan(value) else float(value) for value in values)


def ids(store: RowReader) -> Mapping[NodeName, int]:
    """The store's own id of each name."""
    return {name: id_ for id_, name in store.nodes().items()}
