"""The write-ahead log beside the embedded file, read without SQLite, which stops at the first frame that is damaged.

In: the path of the file. Out: which frames of its log were committed, which of them are as they were written, and a
line about all that is not as it must be. A process that was killed leaves a log without faults: what it had begun
stands behind the last frame that ends a transaction. A power cut may leave some, where the disk had written the end of
what nobody had waited for and not its middle. A log that lacks its end can be used as it is, and says so where the
index, another file that SQLite keeps, still knows better. Raises `OSError`. Costs some 30 µs a frame.

The formats: https://www.sqlite.org/fileformat2.html#the_write_ahead_log and https://www.sqlite.org/walformat.html.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from receiver.columns import Bool, Int64
from receiver.store.embedded.sqlite import PAGE_BYTES

Words = NDArray[np.uint32]

_HEADER = struct.Struct(">4IQ2I")  # magic, version, page size, checkpoints, salt, checksum of all before
_MAGIC = 0x377F0682  # one more where the words that are summed up are big-endian
_VERSION = 3_007_000
_SUMMED_OF_HEADER = 24
# commit: pages of the file after the transaction that this frame ends, 0 where it ends none. The salt is that of the
# log's header; each time the log starts again from its beginning it gets another.
_FRAME = np.dtype(
    [("page", ">u4"), ("commit", ">u4"), ("salt", ">u8"), ("sums", ">u4", 2), ("image", "u1", PAGE_BYTES)]
)
_SUMMED_OF_FRAME = 8
_FRAME_HEADER_BYTES = _FRAME.itemsize - PAGE_BYTES
# Frames that are read at once: 4 MiB.
_BLOCK_FRAMES = 512
# The index in shared memory, which SQLite keeps beside the log: frames that are committed, the log's salt in the order
# of the log's own bytes; behind two copies of that, the frames that are in the file already.
_INDEX = struct.Struct("=16xI12x8s8x48xI")
_INDEX_HEADER_BYTES = 48


@dataclass(frozen=True, slots=True)
class Log:
    """The L frames of a log up to the last one that ends a transaction."""

    path: Path
    page: Int64  # [L] the number of the page that each is an image of, from 1
    whole: Bool  # [L] as it was written; else the number, too, may be wrong
    pages: int  # of the file after the last transaction; 0 where there is none
    faults: tuple[str, ...]
    cut: str  # how much of its end is missing, where it is known to be

    def __len__(self) -> int:
        return len(self.page)

    def offset(self, frame: int) -> int:
        """Where the image of a frame stands."""
        return _HEADER.size + frame * _FRAME.itemsize + _FRAME_HEADER_BYTES


@dataclass(frozen=True, slots=True)
class _Index:
    salt: int
    committed: int  # frames
    copied: int  # frames that are in the file already


def read_log(file: Path) -> Log:
    """The log of the embedded file at this path; one without frames where there is none."""
    path = file.with_name(f"{file.name}-wal")
    header, page, commit, salts, intact = _read(path)
    sound, salt = _header(header)
    index = _index(file.with_name(f"{file.name}-shm"))
    if not sound:
        salt = index.salt
        if salt not in salts:
            (known,) = np.nonzero(intact & (page > 0))
            salt = int(salts[known[0]]) if len(known) else 0
    (ends,) = np.nonzero((salts == salt) & (commit > 0))
    length = int(ends[-1]) + 1 if len(ends) else 0
    whole = (intact & (salts == salt))[:length]
    faults = [f"{path.name}: its header is damaged"] if length and not sound else []
    faults += [f"{path.name}: frame {at + 1}, of page {page[at]}, is damaged" for at in np.flatnonzero(~whole).tolist()]
    is_its = index.salt == salt or len(header) < _HEADER.size
    committed, copied = (index.committed, index.copied) if is_its else (0, 0)
    cut = f"{path.name}: ends after frame {length} of {committed}" if committed > max(length, copied) else ""
    if cut and copied > length > 0:
        faults.append(f"{path.name}: is older than the file")
        whole = np.zeros(length, np.bool_)
    return Log(path, page[:length], whole, int(commit[length - 1]) if length else 0, tuple(faults), cut)


def _read(path: Path) -> tuple[bytes, Int64, Int64, NDArray[np.uint64], Bool]:
    """The header; and of all frames, whatever they are: page, commit, salt, and whether the checksum is right."""
    header, blocks = b"", [np.empty(0, _FRAME)]
    intact = [np.empty(0, np.bool_)]
    if path.exists():
        with path.open("rb") as file:
            header = file.read(_HEADER.size)
            order = ">" if header[:4] == (_MAGIC + 1).to_bytes(4, "big") else "<"
            seed = np.frombuffer(header[_SUMMED_OF_HEADER:].ljust(8, b"\0"), ">u4").reshape(1, 2)
            for block in _blocks(file):
                # Each sum goes on from the one before, as it is stored: a damaged frame condemns no other but the next.
                seeds = np.concatenate((seed, block["sums"]))
                intact.append((_sums(_summed(block, order), seeds[:-1]) == block["sums"]).all(axis=1))
                seed = seeds[-1:]
                blocks.append(block[["page", "commit", "salt"]].copy())
    fields = {name: np.concatenate([block[name] for block in blocks]) for name in ("page", "commit", "salt")}
    return (
        header,
        fields["page"].astype(np.int64),
        fields["commit"].astype(np.int64),
        fields["salt"].astype(np.uint64),
        np.concatenate(intact),
    )


def _blocks(file: Any) -> Iterator[NDArray[np.void]]:
    while len(block := np.frombuffer(_whole_frames(file.read(_BLOCK_FRAMES * _FRAME.itemsize)), _FRAME)):
        yield block


def _whole_frames(content: bytes) -> bytes:
    return content[: len(content) - len(content) % _FRAME.itemsize]


def _summed(block: NDArray[np.void], order: str) -> Words:
    """[K, W] the words that the frames' checksums are of."""
    raw = np.ascontiguousarray(block).view(np.uint8).reshape(len(block), _FRAME.itemsize)
    return np.hstack((raw[:, :_SUMMED_OF_FRAME], raw[:, _FRAME_HEADER_BYTES:])).view(f"{order}u4").astype(np.uint32)


def _sums(words: Words, seeds: NDArray[np.uint32]) -> Words:
    """[K, 2] the checksums of K times W words, each going on from its seed."""
    weights, of_seed = _weights(words.shape[1])
    return words @ weights + seeds.astype(np.uint32) @ of_seed


@cache
def _weights(words: int) -> tuple[Words, Words]:
    """What each word, and the seed, adds to the two sums, modulo 2³².

    The format takes words in pairs (a, b): s0 += a + s1, then s1 += b + s0. Either is linear in all that went in.
    """
    step = np.array([[1, 1], [1, 2]], np.uint32)  # (s0, s1) after a pair, of (s0, s1) before it, for rows @ step
    later = np.eye(2, dtype=np.uint32)
    weights = np.empty((words, 2), np.uint32)
    for pair in range(words - 2, -1, -2):
        weights[pair] = np.array([1, 1], np.uint32) @ later
        weights[pair + 1] = np.array([0, 1], np.uint32) @ later
        later = step @ later
    return weights, later


def _header(header: bytes) -> tuple[bool, int]:
    """Whether it is as it was written, and its salt."""
    if len(header) < _HEADER.size:
        return False, 0
    magic, version, page_bytes, _, salt, *sums = _HEADER.unpack(header)
    words = np.frombuffer(header[:_SUMMED_OF_HEADER], ">u4" if magic & 1 else "<u4").astype(np.uint32).reshape(1, -1)
    found = _sums(words, np.zeros((1, 2), np.uint32))[0].tolist()
    return found == sums and magic | 1 == _MAGIC | 1 and version == _VERSION and page_bytes == PAGE_BYTES, salt


def _index(path: Path) -> _Index:
    """What the last process knew of its log; nothing where it left none, or was writing it when it died."""
    content = path.read_bytes()[: _INDEX.size] if path.exists() else b""
    copies = content[:_INDEX_HEADER_BYTES], content[_INDEX_HEADER_BYTES : 2 * _INDEX_HEADER_BYTES]
    if len(content) < _INDEX.size or copies[0] != copies[1]:
        return _Index(0, 0, 0)
    committed, salt, copied = _INDEX.unpack(content)
    return _Index(int.from_bytes(salt, "big"), committed, copied)
