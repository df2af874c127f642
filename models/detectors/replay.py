"""z of whole tables, the labels deciding what a baseline learns: what learning detectors are fitted to.

In: a `Prior` and a `Table`. Out: z [R, H, F] in the table's order, by the very graph that serves. Rows labelled as
attacks are not learnt, as a detector that knows its trade would not learn them. Costs a step of the graph for every
distinct time of a node.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from models.detectors.deviations import HALF_LIVES_SECONDS, Prior, observe
from models.following import Following, next_state
from models.graph import Graph
from models.run import probe, steps
from models.table import Table
from receiver.columns import Bool, Float32, Int64, NodeName
from receiver.detector import Detector

# Attacks of a thinned stream take this share of its time, about.
THINNED_SHARE = 0.05
# Where rows were cut out, time is closed up to so many usual steps.
CLOSED_STEPS = 1.3
_TEACHER = "teacher"


def watch(prior: Prior, table: Table) -> Float32:
    """What each row deviates by, before it is learnt [R, H, F]."""
    features, lengths = len(prior.names), len(HALF_LIVES_SECONDS)
    taught = replace(
        table, features=(*table.features, _TEACHER), x=np.column_stack([table.x, labels(table)]).astype(np.float32)
    )
    size = len(prior.initial_state())
    z = np.empty((len(table), lengths, features), np.float32)
    for rows, result in steps(_teacher(prior), taught):
        z[rows] = result.next_state[:, size:].reshape(-1, lengths, features)
    return z


def labels(table: Table) -> Bool:
    """What is an attack [R]; nothing, where nobody said so."""
    return np.zeros(len(table), bool) if table.attack is None else table.attack


def _teacher(prior: Prior) -> Detector:
    """The recurrent graph whose last column of x says what is an attack, and whose state ends with z."""
    features, lengths = len(prior.names), len(HALF_LIVES_SECONDS)
    inner = Graph()
    initial = prior.initial_state()
    x, attack = inner.columns("x", 0, features), inner.columns("x", features, features + 1)
    state = inner.columns("state", 0, len(initial))
    observed = observe(inner, prior, x=x, state=state)
    flat = inner.op("Reshape", observed.z, inner.const([-1, lengths * features], np.int64))
    learnt = observed.following(inner.op("Sub", inner.const(1), attack))
    return probe(
        inner.close(
            score=inner.op("Mul", "elapsed_seconds", inner.const(0)),
            next_state=next_state(inner, [*learnt, Following(lambda _: (flat,), lambda _: (flat,))]),
            contribution=None,
            features=(*prior.names, _TEACHER),
            state=np.concatenate([initial, np.zeros(lengths * features, np.float32)]),
        )
    )


def augmented(table: Table) -> tuple[Table, Int64]:
    """The table, and beside each attacked node the same one with its attacks cut out, and with most of them cut out.

    Attacks that fill half of a recording must not teach that attacks fill half of the time. Also which rows of the
    table these are.
    """
    if table.attack is None:
        return table, np.arange(len(table))
    order = np.lexsort((table.time_ms, table.node))
    rows, node, time_ms = [order], [table.node[order]], [table.time_ms[order]]
    nodes = list(table.nodes)
    typical_ms = float(np.median(table.row_seconds())) * 1000
    for own in np.split(order, np.flatnonzero(np.diff(table.node[order])) + 1):
        if not table.attack[own].any():
            continue
        for kept, name in ((~table.attack[own], "without"), (_thinned(table.attack[own]), "few")):
            step_ms = np.diff(table.time_ms[own], prepend=table.time_ms[own][:1])[kept]
            seamless = np.where(np.diff(np.flatnonzero(kept), prepend=-1) > 1, CLOSED_STEPS * typical_ms, step_ms)
            rows.append(own[kept])
            node.append(np.full(int(kept.sum()), len(nodes), np.int32))
            time_ms.append(table.time_ms[own][0] + np.cumsum(np.minimum(seamless, step_ms)).astype(np.int64))
            whole = table.nodes[table.node[own[0]]]
            nodes.append(NodeName(whole.cluster, f"{whole.node} {name}"))
    source = np.concatenate(rows)
    times = np.concatenate(time_ms)
    streams = replace(
        table.take(source),
        nodes=tuple(nodes),
        node=np.concatenate(node),
        time_ms=times,
        time_text=pa.chunked_array([pa.array(times.astype(str))]),
    )
    return streams, source


def _thinned(attack: Bool) -> Bool:
    """Normal rows, and as many attacks, evenly apart, as make up `THINNED_SHARE`."""
    change = np.diff(attack.astype(np.int8), prepend=0)
    number = np.cumsum(change == 1)  # of the attack that a row belongs to, or follows
    share = attack.mean() / max(1e-9, 1 - attack.mean())
    every = max(1, round(share / THINNED_SHARE))
    kept: Bool = ~attack | (number % every == every // 2)
    return kept
