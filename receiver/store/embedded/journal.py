"""What was acknowledged: the kept samples of requests, in the order in which they came, one record a request.

A record is bytes: a header, then three columns, all little-endian.

    header   4 s   b"NSJ1"
             u32   checksum: CRC-32 of everything behind it
             u64   M, number of samples
             i64   received_ms
    columns  M × i64  time_ms        M × f64  value        M × i32  series

`encode` and `decode` are exact: a staleness marker keeps its bits. `decode` takes any bytes and gives a record or
raises `ValueError` that says what is wrong; both cost some 10 µs for 500 samples. `Journal` keeps the records in the
embedded file, and the labels of the series that they name beside them.
"""

from __future__ import annotations

import json
import re
import sqlite3
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress

import numpy as np

from receiver.columns import Samples
from receiver.store.embedded.sqlite import reading, transaction
from receiver.store.protocol import JournalRecord, NewSeries

MAGIC = b"NSJ1"
_HEADER = struct.Struct("<4sIQq")
_CHECKED_FROM = 8  # behind magic and checksum
_SAMPLE_BYTES = 8 + 8 + 4

# Records read at once on replay: some 3 MiB of memory.
REPLAY_RECORDS = 256
# Records that one `trim` deletes at most: 0.3 s of an append's patience after a long stop, and with a call every few
# seconds five times what the largest fleet sends.
TRIM_RECORDS = 8192


def encode(record: JournalRecord) -> bytes:
    """The record as it is stored."""
    samples = record.samples
    body = b"".join(
        (
            _HEADER.pack(MAGIC, 0, len(samples), record.received_ms)[_CHECKED_FROM:],
            np.ascontiguousarray(samples.time_ms, "<i8").data,
            np.ascontiguousarray(samples.value, "<f8").data,
            np.ascontiguousarray(samples.series, "<i4").data,
        )
    )
    return MAGIC + zlib.crc32(body).to_bytes(4, "little") + body


def decode(stored: bytes) -> JournalRecord:
    """The record again. Its arrays are views of `stored`, read-only."""
    if len(stored) < _HEADER.size:
        raise ValueError(f"{len(stored)} bytes, shorter than a header")
    magic, checksum, count, received_ms = _HEADER.unpack_from(stored)
    if magic != MAGIC:
        raise ValueError(f"starts with {magic!r}, not {MAGIC!r}")
    if len(stored) != _HEADER.size + count * _SAMPLE_BYTES:
        raise ValueError(f"{len(stored)} bytes cannot hold the {count} samples of its header")
    if zlib.crc32(memoryview(stored)[_CHECKED_FROM:]) != checksum:
        raise ValueError("its checksum is not that of its content")
    samples = Samples(
        time_ms=np.frombuffer(stored, "<i8", count, _HEADER.size),
        value=np.frombuffer(stored, "<f8", count, _HEADER.size + 8 * count),
        series=np.frombuffer(stored, "<i4", count, _HEADER.size + 16 * count),
    )
    return JournalRecord(received_ms, samples)


def found_in(content: bytes) -> Iterator[tuple[int, bytes]]:
    """(received_ms, record) of every whole record that stands somewhere in these bytes."""
    for match in re.finditer(MAGIC, content):
        header = content[match.start() : match.start() + _HEADER.size]
        if len(header) == _HEADER.size:
            _, _, samples, received_ms = _HEADER.unpack(header)
            record = content[match.start() : match.start() + _HEADER.size + samples * _SAMPLE_BYTES]
            with suppress(ValueError):
                decode(record)
                yield received_ms, record


def series_checksum(labels: bytes) -> int:
    """Of the labels of a series, as they are stored."""
    return zlib.crc32(labels)


class Journal:
    """The tables of records and of their series, seen from their only writer.

    Sequence numbers rise by one from record to record and are never used twice, not even for a record that is
    gone.
    """

    def __init__(self, connection: sqlite3.Connection, consumed_seq: int) -> None:
        self._connection = connection
        _, last = self._ends()
        self.next_seq = max(last, consumed_seq) + 1
        self._damaged_series: list[str] = []
        self._damaged_records: list[str] = []
        self.records, self.bytes = connection.execute(
            "SELECT COUNT(*), COALESCE(SUM(length(record)), 0) FROM journal"
        ).fetchone()

    @property
    def damage(self) -> list[str]:
        """A line about each series and each record that could not be used when they were read last."""
        return self._damaged_series + self._damaged_records

    def insert(self, records: Sequence[JournalRecord], series: Sequence[NewSeries]) -> tuple[list[int], int]:
        """Insert within the caller's transaction; the numbers that the records got and their bytes, for `appended`."""
        labels = [json.dumps(new.labels, ensure_ascii=False, separators=(",", ":")) for new in series]
        self._connection.executemany(
            "INSERT INTO series (id, labels, checksum) VALUES (?, ?, ?)",
            [(new.id, text, series_checksum(text.encode())) for new, text in zip(series, labels, strict=True)],
        )
        stored = [(self.next_seq + i, record.received_ms, encode(record)) for i, record in enumerate(records)]
        self._connection.executemany("INSERT INTO journal (seq, received_ms, record) VALUES (?, ?, ?)", stored)
        return [seq for seq, _, _ in stored], sum(len(record) for _, _, record in stored)

    def appended(self, records: int, stored_bytes: int) -> None:
        """The caller's transaction was committed."""
        self.next_seq += records
        self.records += records
        self.bytes += stored_bytes

    def replay(self) -> Iterator[tuple[int, JournalRecord]]:
        """Every intact record with its number, in order; `damage` names the others."""
        self._damaged_records.clear()
        first, last = self._ends()
        after = first - 1
        while after < last:
            with reading():
                block = self._connection.execute(
                    "SELECT seq, record FROM journal WHERE seq > ? ORDER BY seq LIMIT ?", (after, REPLAY_RECORDS)
                ).fetchall()
            self._name_gaps(after, [seq for seq, _ in block])
            after = block[-1][0] if block else last
            for seq, stored in block:
                try:
                    record = decode(stored)
                except (ValueError, TypeError) as error:  # TypeError: damage made it something else than bytes
                    self._damaged_records.append(f"journal record {seq}: {error}")
                else:
                    yield seq, record

    def trim(self, consumed_seq: int, received_before_ms: int) -> int:
        """Delete from the oldest on what is consumed and was received before; how many went, at most `TRIM_RECORDS`."""
        oldest: list[tuple[int, int, int]] = []
        for limit in (1, TRIM_RECORDS):  # mostly the oldest one says already that there is nothing to do
            with reading():
                oldest = self._connection.execute(
                    "SELECT seq, CAST(received_ms AS INTEGER), length(record) FROM journal ORDER BY seq LIMIT ?",
                    (limit,),
                ).fetchall()
            if not oldest or oldest[0][0] > consumed_seq or oldest[0][1] >= received_before_ms:
                return 0
        gone = 0
        for seq, received_ms, _ in oldest:
            if seq > consumed_seq or received_ms >= received_before_ms:
                break
            gone += 1
        with transaction(self._connection):
            self._connection.execute("DELETE FROM journal WHERE seq <= ?", (oldest[gone - 1][0],))
        self.records -= gone
        self.bytes -= sum(size for _, _, size in oldest[:gone])
        return gone

    def series(self) -> list[NewSeries]:
        """All series that records have named, by id; a damaged one without labels, since its id is taken."""
        with reading():
            found = self._connection.execute(
                "SELECT id, CAST(labels AS BLOB), checksum FROM series ORDER BY id"
            ).fetchall()
        self._damaged_series.clear()
        series = []
        for id_, stored, checksum in found:
            labels: tuple[tuple[str, str], ...] = ()
            try:
                if checksum not in (None, series_checksum(stored)):
                    raise ValueError("its checksum is not that of its labels")
                labels = tuple((str(name), str(value)) for name, value in json.loads(stored))
            except (ValueError, TypeError) as error:
                self._damaged_series.append(f"series {id_}: {error}")
            series.append(NewSeries(id_, labels))
        return series

    def forget_series(self, ids: Sequence[int]) -> None:
        """Delete series that no record uses any more."""
        with transaction(self._connection):
            self._connection.executemany("DELETE FROM series WHERE id = ?", [(int(id_),) for id_ in ids])

    def _ends(self) -> tuple[int, int]:
        first = self._connection.execute("SELECT seq FROM journal ORDER BY seq LIMIT 1").fetchone()
        last = self._connection.execute("SELECT seq FROM journal ORDER BY seq DESC LIMIT 1").fetchone()
        return (first[0], last[0]) if first and last else (1, 0)

    def _name_gaps(self, after: int, numbers: Sequence[int]) -> None:
        """Numbers are given without gaps, and trimmed from the oldest on: one that is not there was lost."""
        for before, number in zip((after, *numbers), numbers, strict=False):
            if number > before + 1:
                self._damaged_records.append(f"journal records {before + 1} to {number - 1}: missing")
