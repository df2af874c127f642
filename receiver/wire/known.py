"""The series that a decoder knows by the bytes of their labels.

In: the labels of a series that was parsed in full, with its id. Out: the tables that scans look it up in. Costs some
20 µs a series, once; memory is bounded by the number of series in the `SeriesTable`.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from receiver.series import UNWANTED, SeriesTable
from receiver.settings import MAX_LABEL_BYTES, MAX_LABELS
from receiver.wire.keys import Keys
from receiver.wire.remote_write_v1_pb2 import Label, TimeSeries
from receiver.wire.scan import UNKNOWN, WORD_BYTES, UInt8
from receiver.wire.wanted import wanted_of

# Label sets of wanted metrics that a matcher refused (virtual interfaces, partitions), remembered to spare their
# parsing. ~250 bytes each; 5,000 nodes with 20 such devices have 500,000 of them.
MAX_REFUSED = 500_000
# Spellings of one series' labels remembered, on average. Senders have one each; one that changes its own is forgotten.
MAX_ALIASES = 4
# The labels of one series as version 1 encodes them: each adds three tags and three lengths of up to two bytes.
LABEL_ROOM_BYTES = MAX_LABEL_BYTES + 9 * MAX_LABELS + 4 * WORD_BYTES


class KnownSeries:
    """The series of a table by the bytes of their labels, as version 1 encodes them, and what else scans need."""

    def __init__(self, table: SeriesTable) -> None:
        self.table = table
        self.wanted = wanted_of(table.catalogue)
        self.keys = Keys()
        self.label_room: UInt8 = np.zeros(LABEL_ROOM_BYTES, np.uint8)
        self._refused = 0

    def learn(self, labels: Iterable[tuple[str, str]], series: int) -> None:
        """Remember the id, or `UNWANTED`, of a series that a scan did not know."""
        if self._refused >= MAX_REFUSED or len(self.keys) - self._refused > MAX_ALIASES * (len(self.table) + 1):
            self.keys = Keys()
            self._refused = 0
        message = TimeSeries(labels=[Label(name=name, value=value) for name, value in labels])
        key = message.SerializeToString()
        if self.keys.find(key) == UNKNOWN:  # a sender may encode the same in another way, that is never found
            self.keys.add(key, series)
            self._refused += series == UNWANTED

    def forget(self, gone: Iterable[int]) -> None:
        """Drop the labels of these series."""
        self.keys = self.keys.without(gone)
