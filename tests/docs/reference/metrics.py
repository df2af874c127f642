"""Every metric of `/metrics`, as a service shows it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from prometheus_client.metrics_core import Metric

from receiver.catalogue import load
from receiver.columns import NodeName, Scores
from receiver.exposition import Exposition, ShadowScores, Snapshot
from tests.docs.reference.markdown import code, table

HEAD = """\
# Metrics

What `/metrics` shows, as text or as OpenMetrics. Every series of a `nodescore_` counter is there from the start, at 0.

## Of the nodes

They are gauges. A node whose last row is older than `staleness_seconds` has no score and nothing that goes with it; a
mute shows until it ends. Scrape with `honor_labels: true`, so that `cluster` and `node` stay the node's own.

"""
SERVICE = """
## Of the service

"""
PROCESS = """
## Of the process

What Prometheus's client libraries tell of every process.

"""
TIME_MS = 1_000
NODE = NodeName("cluster", "node")
# Of labels whose values are not known beforehand.
ANY = "any"


def page() -> str:
    """A table each of the nodes' metrics, the service's and the process's."""
    families = sorted(_shown(), key=lambda family: family.name)
    parts = [
        (HEAD, [family for family in families if family.name.startswith("anomaly_")]),
        (SERVICE, [family for family in families if family.name.startswith("nodescore_")]),
        (PROCESS, [family for family in families if family.name.startswith("process_")]),
    ]
    if sum(len(some) for _, some in parts) != len(families):
        raise ValueError(f"a metric of a new kind: {[family.name for family in families]}")
    columns = ["metric", "type", "labels", "meaning"]
    return "".join(head + table(columns, (_row(family) for family in some)) for head, some in parts)


def _shown() -> list[Metric]:
    """All families of an exposition in which each has a series."""
    features = load().feature_names
    exposition = Exposition(
        Snapshot.empty(features, "version", "detector"),
        staleness_seconds=300,
        top_features=1,
        contribution_floor=0,
        entity=load().name,
        clock=lambda: TIME_MS / 1000,
        version="version",
    )
    row = np.ones((1, len(features)), np.float32)
    scores = Scores(np.zeros(1, np.int32), np.array([TIME_MS]), np.full(1, 2, np.float32), row, row)
    exposition.update({0: NODE}, scores, "version", "detector")
    exposition.show_mutes({NODE: 2 * TIME_MS})
    exposition.show_shadow(ShadowScores.empty("shadow", "detector").after(scores))
    exposition.metrics.feature_drift.labels(ANY)
    exposition.metrics.replica_elected.labels(ANY, ANY)
    return list(exposition.registry.collect())


def _row(family: Metric) -> list[str]:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    return [code(name), family.type, "; ".join(_labels(family)), family.documentation]


def _labels(family: Metric) -> Iterator[str]:
    """Each label; those of a counter with the values that they can have."""
    samples = [sample for sample in family.samples if not sample.name.endswith(("_bucket", "_created"))]
    for label in dict.fromkeys(label for sample in samples for label in sample.labels):
        values = sorted({sample.labels[label] for sample in samples})
        known = family.type == "counter"
        yield f"{code(label)}: {', '.join(values)}" if known else code(label)
