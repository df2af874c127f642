"""Known series: which id, target and term a label set has.

In: the labels of a series that the wire has met for the first time. Out: its id, or `UNWANTED`. Raises
`LimitReached` for a series or node over the configured number. Costs one digest and one catalogue look-up per
*new* series; after that the wire finds the id by the bytes that a sender repeats in every request.

A series is known by its labels without the replica's, however a sender encodes or orders them: a v1 and a v2 sender,
one that changes, and both of a pair name the same series. Ids of series and targets are dense, and go to others when
they are forgotten, so stages keep what they know of a series in arrays indexed by id. What is on disk has its *number*,
above those of all series that are known: no other gets it while the process lives, and after a restart only where it
had been forgotten, hours after the journal. Ids of nodes are never used again. So nothing that is left of one can pass
for another's. Unwanted series cost no memory here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from receiver.catalogue import Catalogue
from receiver.columns import Int32, NodeName, Samples
from receiver.errors import LimitReached

UNWANTED = -1


@dataclass(frozen=True, slots=True)
class Target:
    """One scraped endpoint: the series of one target and timestamp make a row."""

    node: int
    key: tuple[str, ...]


class SeriesTable:
    """All kept series of the service, their targets and nodes."""

    def __init__(self, catalogue: Catalogue, max_series: int, max_nodes: int) -> None:
        self.catalogue = catalogue
        self.max_series = max_series
        self.max_nodes = max_nodes
        self.targets: list[Target] = []
        self.new_targets: list[int] = []  # ids that have a target since the assembler has seen them last
        self.nodes: dict[int, NodeName] = {}  # by id, ascending
        self.next_node = 0
        self._ids: dict[bytes, int] = {}
        self._target_ids: dict[tuple[NodeName, tuple[str, ...]], int] = {}
        self._node_ids: dict[NodeName, int] = {}
        self.next_id = 0  # above all that have been in use
        self._free_ids: list[int] = []
        self._free_targets: list[int] = []
        self._next_number = 0
        self._new_series: dict[int, tuple[tuple[str, str], ...]] = {}  # by number
        self._new_nodes: dict[int, NodeName] = {}
        self._series_of_node: dict[int, int] = {}
        self._live_nodes = 0  # with series
        self.target: Int32 = np.full(1024, -1, np.int32)  # [ids] target of each series
        self.term: Int32 = np.full(1024, -1, np.int32)  # [ids] catalogue term of each series
        self.number: Int32 = np.full(1024, -1, np.int32)  # [ids] what the journal calls it

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def live_nodes(self) -> int:
        """Nodes that have series."""
        return self._live_nodes

    def resolve(self, labels: Mapping[str, str]) -> int:
        """Id of the series with these (valid, non-empty) labels, or `UNWANTED`."""
        term = self.catalogue.term_of(labels)
        name = None if term is None else self.catalogue.entity_of(labels)
        if term is None or name is None:
            return UNWANTED
        ordered = tuple(sorted(pair for pair in labels.items() if pair[0] not in self.catalogue.replica_labels))
        digest = _digest(ordered)
        known = self._ids.get(digest)
        if known is not None:
            return known
        if len(self._ids) >= self.max_series:
            raise LimitReached(f"over the limit of {self.max_series} kept series (max_series)")
        target = self._target(name, self.catalogue.target_of(labels))
        number = self._next_number
        self._new_series[number] = ordered
        return self._insert(number, digest, term, target)

    def restore(self, nodes: Mapping[int, NodeName], series: Iterable[tuple[int, tuple[tuple[str, str], ...]]]) -> None:
        """Take back what a journal remembers; series that the catalogue no longer wants are left out."""
        for node, name in sorted(nodes.items()):
            self._add_node(node, name)
        for number, ordered in sorted(series):
            self._next_number = number + 1
            labels = dict(ordered)
            term, entity = self.catalogue.term_of(labels), self.catalogue.entity_of(labels)
            if term is not None and entity is not None:
                target = self._target(entity, self.catalogue.target_of(labels))
                self._insert(number, _digest(ordered), term, target)

    def new(self) -> tuple[dict[int, tuple[tuple[str, str], ...]], dict[int, NodeName]]:
        """Series and nodes that the journal has not been told of (`written` says that it has)."""
        return dict(self._new_series), dict(self._new_nodes)

    def written(self, series: Iterable[int], nodes: Iterable[int]) -> None:
        """The journal has these."""
        for one in series:
            self._new_series.pop(one, None)
        for one in nodes:
            self._new_nodes.pop(one, None)

    def known(self, samples: Samples) -> Samples:
        """Those of a journal's samples whose series have been restored, just before, with their ids for numbers."""
        number = self.number[: self.next_id]
        series = np.searchsorted(number, samples.series).astype(np.int32)
        series[series == len(number)] = 0
        wanted = number[series] == samples.series if len(number) else np.zeros(len(samples), np.bool_)
        return Samples(series[wanted], samples.time_ms[wanted], samples.value[wanted])

    def numbered(self, samples: Samples) -> Samples:
        """Samples as the journal has them: with numbers for ids."""
        return Samples(self.number[samples.series], samples.time_ms, samples.value)

    def forget(self, gone: set[int], empty_targets: Collection[int] = ()) -> None:
        """Drop series that have not been seen for long; seen again they are new, and so are their targets.

        Their ids go to others, those of targets too where nothing else is known of these: `empty_targets`, all of them.
        """
        self._ids = {digest: series for digest, series in self._ids.items() if series not in gone}
        for series in gone:
            self._count(self.targets[self.target[series]].node, -1)
        used = set(self.target[list(self._ids.values())].tolist())
        self._target_ids = {key: target for key, target in self._target_ids.items() if target in used}
        self._free_ids.extend(gone)
        self._free_targets = [target for target in empty_targets if target not in used]

    def silent_nodes(self) -> set[int]:
        """Nodes that have no series."""
        return {node for node, series in self._series_of_node.items() if not series}

    def forget_nodes(self, gone: Iterable[int]) -> None:
        """Drop nodes without series; seen again they get new ids."""
        for node in gone:
            del self._node_ids[self.nodes.pop(node)], self._series_of_node[node]

    def _target(self, name: NodeName, key: tuple[str, ...]) -> int:
        found = self._target_ids.get((name, key))
        if found is not None:
            return found
        node = self._node_ids.get(name)
        if (node is None or not self._series_of_node[node]) and self._live_nodes >= self.max_nodes:
            raise LimitReached(f"node {name.node!r} is over the limit of {self.max_nodes} nodes (max_nodes)")
        if node is None:
            node = self.next_node
            self._add_node(node, name)
            self._new_nodes[node] = name
        if not self._free_targets:
            self._free_targets.append(len(self.targets))
            self.targets.append(Target(node, key))
        target = self._free_targets.pop()
        self.targets[target] = Target(node, key)
        self._target_ids[name, key] = target
        self.new_targets.append(target)
        return target

    def _add_node(self, node: int, name: NodeName) -> None:
        self.nodes[node] = name
        self._node_ids[name] = node
        self._series_of_node[node] = 0
        self.next_node = node + 1

    def _count(self, node: int, change: int) -> None:
        before = self._series_of_node[node]
        self._series_of_node[node] = before + change
        self._live_nodes += (before + change > 0) - (before > 0)

    def _insert(self, number: int, digest: bytes, term: int, target: int) -> int:
        series = self._free_ids.pop() if self._free_ids else self.next_id
        if series >= len(self.term):
            self.target = _grown(self.target, series)
            self.term = _grown(self.term, series)
            self.number = _grown(self.number, series)
        self.target[series] = target
        self.term[series] = term
        self.number[series] = number
        self._next_number = number + 1
        self._ids[digest] = series
        self._count(self.targets[target].node, 1)
        self.next_id = max(self.next_id, series + 1)
        return series


def _grown(array: Int32, index: int) -> Int32:
    larger = np.full(max(2 * len(array), index + 1), -1, np.int32)
    larger[: len(array)] = array
    return larger


def _digest(ordered: tuple[tuple[str, str], ...]) -> bytes:
    # No UTF-8 text holds the byte 0xff, so no two label sets make the same text.
    text = b"\xff".join(part.encode() for pair in ordered for part in pair)
    return blake2b(text, digest_size=16).digest()
