"""What the open connections of a server may hold together, and which of them makes room for others.

Over a limit, the connection that has kept us waiting longest leaves, and in the middle of a request is told so: 503.
Senders who mean it send a request at once, so that it does not meet them, whatever others hold open; an idle sender
connects again.

The states of a connection, and how long it may stay in each, are those of `receiver.web.connection`. Everything runs
on the event loop's thread, and costs a few dict operations a request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from receiver.exposition import Metrics

# Headers are small and come at once, also over the slowest line that could carry samples.
HEADER_SECONDS = 10.0
# Prometheus gives up after as long (`remote_timeout`), and its requests have some 50 KB.
BODY_SECONDS = 30.0
# The largest answer, the exposition of 5,000 nodes, has 2 MB; Prometheus gives a scrape 10 s.
ANSWER_SECONDS = 30.0
# Senders keep their connections open between scrapes, which may be minutes apart.
KEEP_ALIVE_SECONDS = 300
# A sender on each of 5,000 nodes. An idle connection takes some 10 KB.
MAX_CONNECTIONS = 8192
# Of all requests that are not complete: 8 of the largest bodies, or one of 2,000 samples from each of 5,000 senders.
MAX_ARRIVING_BYTES = 256 * 1024 * 1024
# Connections that do not read; each holds an answer of some 2 MB.
MAX_UNREAD = 64

State = Literal["header", "body", "served", "unread", "idle"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one server."""

    connections: int = MAX_CONNECTIONS
    arriving_bytes: int = MAX_ARRIVING_BYTES
    unread: int = MAX_UNREAD
    header_seconds: float = HEADER_SECONDS
    body_seconds: float = BODY_SECONDS
    answer_seconds: float = ANSWER_SECONDS


class Occupant(Protocol):
    """A connection, as far as it matters here."""

    def make_room(self) -> None:
        """Leave, for others who wait less long."""


class Room:
    """Of one server: its connections by what they wait for, and the bytes of requests that are not complete."""

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self.limits = limits
        self.metrics = metrics
        self.seconds: dict[State, float] = {
            "header": limits.header_seconds,
            "body": limits.body_seconds,
            "unread": limits.answer_seconds,
        }
        # Dicts serve as sets that know who came first.
        self.arriving: dict[Occupant, None] = {}
        self.served: dict[Occupant, None] = {}
        self.unread: dict[Occupant, None] = {}
        self.idle: dict[Occupant, None] = {}
        self.place: dict[State, dict[Occupant, None]] = {
            "header": self.arriving,
            "body": self.arriving,
            "served": self.served,
            "unread": self.unread,
            "idle": self.idle,
        }
        self.arriving_bytes = 0

    def bound_connections(self) -> None:
        """Close the longest idle connection if there is one too many, or the one that has been slowest to send."""
        if len(self.arriving) + len(self.served) + len(self.unread) + len(self.idle) > self.limits.connections:
            next(iter(self.idle or self.arriving or self.unread)).make_room()

    def bound_bytes(self) -> None:
        """Refuse the oldest requests until the others fit."""
        while self.arriving_bytes > self.limits.arriving_bytes:
            next(iter(self.arriving or self.unread)).make_room()

    def bound_unread(self) -> None:
        """Cut off who has not read for longest."""
        if len(self.unread) > self.limits.unread:
            next(iter(self.unread)).make_room()
