"""Byte strings that were met before, with a number each: the labels of series, the names of metrics.

Equal bytes have equal numbers: `lookup.find` finds them. Costs some 10 µs to add a key and 50 ns to find it; memory is
the keys' bytes and `KEY_OVERHEAD_BYTES` for each, up to twice that.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import numpy as np

from receiver.columns import Int32, Int64
from receiver.wire.lookup import WORD_BYTES, Table, UInt8, find, link, words_of

# An entry of four numbers, two slots, the next in its slot.
KEY_OVERHEAD_BYTES = 44


class Keys:
    """A growing set of keys."""

    def __init__(self) -> None:
        self._count = 0
        # There must be eight bytes before every key's end.
        self._keys: UInt8 = np.zeros(4096, np.uint8)
        self._used_bytes = WORD_BYTES
        self._entries: Int64 = np.zeros((64, 4), np.int64)
        self._slots: Int32 = np.full(2 * len(self._entries), -1, np.int32)
        self._following = _successors(0, len(self._entries))
        self._seed = np.uint64(secrets.randbits(64))
        self.table = self._view()

    def __len__(self) -> int:
        return self._count

    def find(self, key: bytes) -> int:
        """The number of a key, or `UNKNOWN`."""
        padded = bytes(WORD_BYTES) + key
        return find(self.table, words_of(padded), WORD_BYTES, len(padded))

    def add(self, key: bytes, number: int) -> None:
        """Remember a key that is not known."""
        begin, end = self._used_bytes, self._used_bytes + len(key)
        if end > len(self._keys):
            self._keys = np.concatenate((self._keys, np.zeros(max(len(key), len(self._keys)), np.uint8)))
            self.table = self._view()
        if self._count == len(self._entries):
            self._entries = np.concatenate((self._entries, np.zeros_like(self._entries)))
            self._slots = np.full(2 * len(self._entries), -1, np.int32)
            self._following = np.concatenate((self._following, _successors(self._count, len(self._entries))))
            self.table = self._view()
            link(self.table, 0, self._count)
        self._keys[begin:end] = np.frombuffer(key, np.uint8)
        self._entries[self._count] = (0, begin, end, number)
        self._used_bytes = end
        self._count += 1
        link(self.table, self._count - 1, self._count)

    def items(self) -> Iterator[tuple[bytes, int]]:
        """All keys with their numbers."""
        for _, begin, end, number in self._entries[: self._count].tolist():
            yield self._keys[begin:end].tobytes(), number

    def _view(self) -> Table:
        return Table(self._seed, self._slots, self._entries, self._following, words_of(self._keys))


def _successors(begin: int, end: int) -> Int32:
    """Keys are expected in the order in which they were met first; after the last entry, the first."""
    return (np.arange(begin + 1, end + 1) % end).astype(np.int32)
