"""The requests of a shard, as a Prometheus cuts them, made cheaply enough to keep pace on one core.

Prometheus sends series number r to shard r mod S, so that each shard has a piece of every scrape: of node n, the
series from residue (shard − n·K) mod S on, every S-th. A request is a run of such pieces, cut anywhere. Its shape
(which part of which residue's series stands in it, for how many nodes) comes again and again: it is encoded once, by
protobuf's own encoder, and after that names, times and values are replaced in its bytes. All are of fixed width.

Symbols in shapes: M samples of a request, P places of a node's name in it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cramjam
import numpy as np

from benchmarks.fleet.values import Values, evaluate
from benchmarks.ingest.requests import TEMPLATE_MS, timestamp
from benchmarks.node_exporter import Scraped
from receiver.columns import Bool, Bytes, Float64, Int32, Int64
from receiver.compiled import compiled
from tests.wire.requests import MESSAGES, Series

NAME_DIGITS = 5
_NAME = re.compile(rb"node-#(\d{4})")  # as long as node-00000


def name_of(node: int) -> str:
    """What the label `instance` of a node is."""
    return f"node-{node:0{NAME_DIGITS}d}:9100"


class Piece(NamedTuple):
    """A part of a scrape that a request holds."""

    scrape: int  # number over all nodes and rounds, in the order of time
    residue: int
    first: int  # place in the residue's series
    samples: int


@dataclass(frozen=True, slots=True)
class Shape:
    """An encoded request, and where in it stands what changes."""

    message: Bytes
    series: Int32  # [M]
    slot: Int32  # [M] which of the request's pieces a sample belongs to
    stamp_at: Int64  # [M] where its time begins
    valued: Bool  # [M] a value is sent, in the eight bytes before the time's tag
    name_at: Int64  # [P] where the digits begin
    name_slot: Int32  # [P]


class Encoder:
    """Makes the bodies of a fleet's requests."""

    def __init__(self, scraped: list[Scraped], shards: int, version: int, interval_seconds: float) -> None:
        self.series = len(scraped)
        self.shards = shards
        self.version = version
        self._interval_seconds = interval_seconds
        self._scraped = scraped
        self._values = Values.of(scraped)
        self._shapes: dict[tuple[tuple[int, int, int], ...], Shape] = {}

    def residue(self, shard: int, node: int) -> int:
        """Which series of a node are the shard's: those from here on, every S-th."""
        return (shard - node * self.series) % self.shards

    def size(self, residue: int) -> int:
        """How many these are."""
        return len(range(residue, self.series, self.shards))

    def body(
        self, pieces: Sequence[Piece], node: Int64, round_: Int64, time_ms: Int64, elapsed_seconds: Float64
    ) -> bytes:
        """A compressed request; of each piece its node, its round, and its time as it is sent and since the start."""
        key = tuple(piece[1:] for piece in pieces)
        shape = self._shapes.get(key)
        if shape is None:
            shape = self._shapes[key] = self._encode(pieces)
        message = shape.message.copy()
        value = np.empty(len(shape.series))
        interval = self._interval_seconds
        evaluate(self._values, shape.series, shape.slot, node, round_, elapsed_seconds, interval, value)
        _replace(message, shape.stamp_at, shape.valued, shape.slot, time_ms, value.view(np.int64))
        _rename(message, shape.name_at, shape.name_slot, node)
        return bytes(cramjam.snappy.compress_raw(message.data))

    def _encode(self, pieces: Sequence[Piece]) -> Shape:
        several, series, slots = [], [], []
        for slot, (_, residue, first, samples) in enumerate(pieces):
            for k in range(residue, self.series, self.shards)[first : first + samples]:
                one = self._scraped[k]
                labels = sorted({**one.labels, "instance": f"node-#{slot:04}:9100", "job": "node"}.items())
                several.append(Series(labels, [(one.value, TEMPLATE_MS)]))
                series.append(k)
                slots.append(slot)
        message = MESSAGES[self.version](several)
        stamps = [found.start() + 1 for found in re.finditer(re.escape(timestamp(TEMPLATE_MS)), message)]
        if len(stamps) != len(several):
            raise ValueError("a label spells a time: the places of the times cannot be told")
        names = list(_NAME.finditer(message))
        return Shape(
            message=np.frombuffer(message, np.uint8),
            series=np.array(series, np.int32),
            slot=np.array(slots, np.int32),
            stamp_at=np.array(stamps, np.int64),
            valued=np.array([one.samples[0][0] != 0 for one in several]),
            name_at=np.array([found.start() + len("node-") for found in names], np.int64),
            name_slot=np.array([int(found[1]) for found in names], np.int32),
        )


class Cursor:
    """How far a shard has come in the stream of its pieces."""

    def __init__(self, encoder: Encoder, shard: int, nodes: int) -> None:
        self._encoder = encoder
        self._sizes = [
            (residue, encoder.size(residue)) for residue in (encoder.residue(shard, node) for node in range(nodes))
        ]
        self._scrape = 0
        self._offset = 0
        self._scraped = 0
        self.waiting = 0

    def scraped_until(self, scrapes: int) -> None:
        """So many scrapes have been made by now."""
        for scrape in range(self._scraped, scrapes):
            self.waiting += self._sizes[scrape % len(self._sizes)][1]
        self._scraped = max(self._scraped, scrapes)

    def cut(self, most: int) -> list[Piece]:
        """The next samples, at most so many."""
        pieces = []
        wanted = min(most, self.waiting)
        self.waiting -= wanted
        while wanted:
            residue, size = self._sizes[self._scrape % len(self._sizes)]
            count = min(wanted, size - self._offset)
            pieces.append(Piece(self._scrape, residue, self._offset, count))
            wanted -= count
            self._offset += count
            if self._offset == size:
                self._scrape, self._offset = self._scrape + 1, 0
        return pieces

    def ends(self, piece: Piece) -> bool:
        """Whether the shard's part of the scrape ends with it."""
        return piece.first + piece.samples == self._encoder.size(piece.residue)


@compiled
def _replace(message: Bytes, stamp_at: Int64, valued: Bool, slot: Int32, time_ms: Int64, value_bits: Int64) -> None:
    """Put in times, as varints of six bytes, and values."""
    for i in range(len(stamp_at)):
        at, time = stamp_at[i], time_ms[slot[i]]
        for place in range(6):
            message[at + place] = time >> 7 * place & 0x7F | (0x80 if place < 5 else 0)
        if valued[i]:
            bits = value_bits[i]
            for place in range(8):
                message[at - 9 + place] = bits >> 8 * place & 0xFF


@compiled
def _rename(message: Bytes, name_at: Int64, name_slot: Int32, node: Int64) -> None:
    """Put in the nodes' numbers."""
    for i in range(len(name_at)):
        number = node[name_slot[i]]
        for place in range(NAME_DIGITS):
            message[name_at[i] + NAME_DIGITS - 1 - place] = 48 + number % 10
            number //= 10
