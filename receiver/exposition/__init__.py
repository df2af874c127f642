"""What Prometheus scrapes from us: the nodes' scores, and the service's own metrics.

In: the scores of each flush (`Exposition.update`), and counts from every stage (`Metrics`). Out: the text or
OpenMetrics exposition, as the scraper asks. The only importer of prometheus_client.
"""

from receiver.exposition.metrics import AccessRefused, Dropped, GivenUp, Metrics, Protocol, RowKind, StatusCode
from receiver.exposition.nodes import Exposition
from receiver.exposition.shadow import ShadowScores
from receiver.exposition.snapshot import Snapshot

__all__ = [
    "AccessRefused",
    "Dropped",
    "Exposition",
    "GivenUp",
    "Metrics",
    "Protocol",
    "RowKind",
    "ShadowScores",
    "Snapshot",
    "StatusCode",
]
