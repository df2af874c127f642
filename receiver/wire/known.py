"""The series that a decoder knows by the bytes of their labels.

In: the labels of a series that was parsed in full, with its id. Out: the tables that scans look it up in. Costs some
20 µs a series, once; memory is bounded by the number of series in the `SeriesTable` and by `MAX_REFUSED_BYTES`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from receiver.columns import Int32
from receiver.replicas import NO_REPLICA, Replicas
from receiver.series import UNWANTED, SeriesTable
from receiver.settings import MAX_LABEL_BYTES, MAX_LABELS
from receiver.wire.keys import KEY_OVERHEAD_BYTES, Keys
from receiver.wire.lookup import UNKNOWN, WORD_BYTES, UInt8
from receiver.wire.remote_write_v1_pb2 import TimeSeries
from receiver.wire.wanted import wanted_of

# Label sets of wanted metrics that a matcher refused (virtual interfaces, partitions), remembered to spare their
# parsing. 5,000 nodes with 20 such devices have 500,000 of them, of some 250 bytes.
MAX_REFUSED_BYTES = 160 << 20
# Spellings of one series' labels remembered, on average. Senders have one each; one that changes its own is forgotten.
MAX_SPELLINGS = 4
# The labels of one series as version 1 encodes them: each adds three tags and three lengths of up to two bytes.
LABEL_ROOM_BYTES = MAX_LABEL_BYTES + 9 * MAX_LABELS + 4 * WORD_BYTES


class KnownSeries:
    """The series of a table by the bytes of their labels, as version 1 encodes them, and what else scans need.

    What a scan finds is the number of a *spelling*: a series as one sender writes it, its replica's name included.
    """

    def __init__(self, table: SeriesTable) -> None:
        self.table = table
        self.replicas = Replicas()
        self.wanted = wanted_of(table.catalogue)
        self.label_room: UInt8 = np.zeros(LABEL_ROOM_BYTES, np.uint8)
        self.keys = Keys()
        self.series: Int32 = np.zeros(64, np.int32)  # [spellings] ids
        self.replica: Int32 = np.zeros(64, np.int32)  # [spellings] numbers of `replicas`
        self._spellings = 0
        self._refused_bytes = 0

    def learn(self, labels: Sequence[tuple[str, str]], series: int, replica: int) -> None:
        """Remember id, or `UNWANTED`, and replica of a series that a scan did not know."""
        if self._refused_bytes >= MAX_REFUSED_BYTES or self._spellings > MAX_SPELLINGS * (len(self.table) + 1):
            self._clear()
        series_of_labels = TimeSeries()
        for name, value in labels:
            series_of_labels.labels.add(name=name, value=value)
        key = series_of_labels.SerializeToString()
        if self.keys.find(key) == UNKNOWN:  # a sender may encode the same in another way, that is never found
            self._add(key, series, replica)

    def forget(self, gone: Iterable[int]) -> None:
        """Drop the labels of these series."""
        keys, series_of, replica_of = self.keys, self.series.copy(), self.replica.copy()
        self._clear()
        dropped = set(gone)
        for key, spelling in keys.items():
            if spelling == UNWANTED:
                self._add(key, UNWANTED, NO_REPLICA)
            elif series_of[spelling] not in dropped:
                self._add(key, int(series_of[spelling]), int(replica_of[spelling]))

    def _add(self, key: bytes, series: int, replica: int) -> None:
        if series == UNWANTED:
            self.keys.add(key, UNWANTED)
            self._refused_bytes += len(key) + KEY_OVERHEAD_BYTES
            return
        spelling = self._spellings
        if spelling == len(self.series):
            self.series = np.concatenate((self.series, np.zeros_like(self.series)))
            self.replica = np.concatenate((self.replica, np.zeros_like(self.replica)))
        self.series[spelling], self.replica[spelling] = series, replica
        self.keys.add(key, spelling)
        self._spellings += 1

    def _clear(self) -> None:
        self.keys = Keys()
        self._spellings = 0
        self._refused_bytes = 0
