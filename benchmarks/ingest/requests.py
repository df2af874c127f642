"""The same requests for every receiver: scrapes of N nodes, batched as Prometheus batches.

A request is encoded once. For each scrape its timestamps are replaced in the encoded bytes, where all of one request
are the same six bytes, and it is compressed: cheap enough to be done between the requests that are measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import snappy

from benchmarks.node_exporter import Scraped, of_node
from tests.wire.requests import HEADERS, MESSAGES, Series

SERIES_PER_REQUEST = 2000
SCRAPE_MS = 10_000
# Any time whose varint has six bytes; every request is encoded with it.
TEMPLATE_MS = 1_700_000_000_000


@dataclass(frozen=True, slots=True)
class Requests:
    """What all nodes send in one scrape."""

    version: int
    messages: tuple[bytes, ...]  # encoded, at TEMPLATE_MS
    series: int

    def at(self, time_ms: int) -> Iterator[bytes]:
        """The bodies of the scrape at a time."""
        old, new = timestamp(TEMPLATE_MS), timestamp(time_ms)
        for message in self.messages:
            yield bytes(snappy.compress(message.replace(old, new)))

    @property
    def headers(self) -> dict[str, str]:
        """For HTTP."""
        return HEADERS[self.version]


def make(scraped: list[Scraped], nodes: int, version: int) -> Requests:
    """Requests of so many nodes, cut every `SERIES_PER_REQUEST` series as a sender's queue does."""
    series = [
        Series(labels, [(value, TEMPLATE_MS)]) for node in range(nodes) for labels, value in of_node(scraped, node)
    ]
    cuts = range(0, len(series), SERIES_PER_REQUEST)
    messages = tuple(MESSAGES[version](series[cut : cut + SERIES_PER_REQUEST]) for cut in cuts)
    return Requests(version, messages, len(series))


def timestamp(time_ms: int) -> bytes:
    """Field 2 of a sample: its tag, and the time as a varint."""
    groups = [(time_ms >> shift) & 0x7F for shift in range(0, 42, 7)]
    return bytes([0x10, *(group | 0x80 for group in groups[:-1]), groups[-1]])
