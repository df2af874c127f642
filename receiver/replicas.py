"""Which of a cluster's Prometheus replicas is listened to.

The replicas of a high-availability pair scrape the same targets at other moments, and each sends everything. Of those
that are one set, in one cluster, one is elected: the first that comes; another only when nothing has come from it for
`fail_over_ms`. What the others send is acknowledged and not kept; the samples between the last of one and the first of
the next are the one thing acknowledged that is not stored.

In: set and name of the replica that series come from, and when samples of them arrive. Out: a number for each pair of
these, and whether its samples are taken. Raises `LimitReached` for a replica too many. Costs some µs a request. Memory
only: after a restart the first to send is elected again, which breaks no rate, since a replica's name is no part of a
series' identity.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from receiver.columns import Bool, Int32
from receiver.errors import LimitReached

# Three scrapes of 10 s, as others have it: shorter, and a slow request of one replica makes the other step in.
FAIL_OVER_MS = 30_000
# Pairs of cluster and replica that are told apart. A cluster has two.
MAX_REPLICAS = 10_000
# Of series that name no replica: nobody sends them twice.
NO_REPLICA = -1

# The values of the catalogue's `replica_set` labels.
ReplicaSet = tuple[str, ...]


@dataclass(slots=True)
class _Elected:
    number: int
    last_ms: int  # when its last sample came


class Replicas:
    """All replicas of all sets."""

    def __init__(self, fail_over_ms: int = FAIL_OVER_MS) -> None:
        self.fail_over_ms = fail_over_ms
        self.fail_overs = 0
        self._names: list[tuple[ReplicaSet, str]] = []  # of each number
        self._numbers: dict[tuple[ReplicaSet, str], int] = {}
        self._elected: dict[ReplicaSet, _Elected] = {}

    def number_of(self, replica_set: ReplicaSet, replica: str) -> int:
        """What stands for a replica in `accepts`; `NO_REPLICA` where there is none."""
        if not replica:
            return NO_REPLICA
        number = self._numbers.get((replica_set, replica))
        if number is None:
            if len(self._names) >= MAX_REPLICAS:
                raise LimitReached(f"replica {replica!r} is over the limit of {MAX_REPLICAS} replicas")
            number = self._numbers[replica_set, replica] = len(self._names)
            self._names.append((replica_set, replica))
        return number

    def accepts(self, replica: Int32, now_ms: int) -> Bool:
        """Of samples that have arrived now, by the numbers of their replicas: which are taken."""
        taken = np.ones(len(replica), np.bool_)
        alike = (replica == replica[:1]).all()  # nearly always
        for number in (replica[:1] if alike else np.unique(replica)).tolist():
            if number != NO_REPLICA and not self._accepts(number, now_ms):
                taken[replica == number] = False
        return taken

    def elected(self) -> list[tuple[ReplicaSet, str]]:
        """Each set with its elected replica."""
        return [self._names[elected.number] for elected in self._elected.values()]

    def _accepts(self, number: int, now_ms: int) -> bool:
        replica_set, _ = self._names[number]
        elected = self._elected.setdefault(replica_set, _Elected(number, now_ms))
        elected.last_ms = min(elected.last_ms, now_ms)  # a clock that was set back must not put a fail-over off
        if number != elected.number:
            if now_ms - elected.last_ms < self.fail_over_ms:
                return False
            elected.number = number
            self.fail_overs += 1
        elected.last_ms = now_ms
        return True
