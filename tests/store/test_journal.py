"""The journal: what was acknowledged comes back, bit for bit, and damage costs only what it hits."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from receiver.columns import STALE_NAN_BITS, NodeName, Samples
from receiver.store import JournalRecord, NewSeries
from receiver.store.embedded import EmbeddedStore
from receiver.store.embedded.journal import REPLAY_RECORDS, decode, encode
from tests.store.data import CATALOGUE, T0, finished, record

RECORDS = st.integers(0, 20).flatmap(
    lambda m: st.builds(
        JournalRecord,
        st.integers(0, 2**62),
        st.builds(
            Samples,
            arrays.arrays(np.int32, m),
            arrays.arrays(np.int64, m),
            arrays.arrays(np.uint64, m).map(lambda bits: bits.view(np.float64)),  # every NaN there is
        ),
    )
)
WHOLE = encode(record(T0, (1, T0, 1.5), (2, T0 + 1, -2.5)))


def same(one: JournalRecord, other: JournalRecord) -> bool:
    """Equal bit for bit."""
    return one.received_ms == other.received_ms and all(
        getattr(one.samples, name).tobytes() == getattr(other.samples, name).tobytes()
        for name in ("series", "time_ms", "value")
    )


@given(RECORDS)
def test_a_record_is_read_as_it_was_written(written: JournalRecord) -> None:
    assert same(decode(encode(written)), written)


def test_a_staleness_marker_keeps_its_bits() -> None:
    marker = np.array([STALE_NAN_BITS], np.uint64).view(np.float64)
    written = JournalRecord(T0, Samples(np.array([1], np.int32), np.array([T0]), marker))
    assert decode(encode(written)).samples.value.view(np.uint64)[0] == STALE_NAN_BITS


def test_a_sample_takes_twenty_bytes() -> None:
    many = JournalRecord(T0, Samples(np.zeros(500, np.int32), np.zeros(500, np.int64), np.zeros(500)))
    assert len(encode(many)) == 24 + 500 * 20


def test_a_record_that_was_cut_off_anywhere_is_refused() -> None:
    for kept in range(len(WHOLE)):
        with pytest.raises(ValueError, match=r"shorter than a header|cannot hold the"):
            decode(WHOLE[:kept])


def test_a_record_with_any_bit_flipped_is_refused() -> None:
    for bit in range(8 * len(WHOLE)):
        damaged = bytearray(WHOLE)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ValueError, match=r"starts with|cannot hold the|checksum"):
            decode(bytes(damaged))


@given(st.binary(max_size=100))
def test_any_bytes_are_a_record_or_refused(stored: bytes) -> None:
    try:
        decoded = decode(stored)
    except ValueError:
        return
    assert encode(decoded) == stored


def test_records_come_back_in_order_with_their_numbers(embedded: EmbeddedStore) -> None:
    written = [record(T0 + i, (i, T0, float(i))) for i in range(REPLAY_RECORDS + 5)]
    numbers = embedded.append(written[:3], [], {}) + embedded.append(written[3:], [], {})
    assert numbers == list(range(1, len(written) + 1))
    replayed = list(embedded.journal.replay())
    assert [number for number, _ in replayed] == numbers
    assert all(same(found, given) for (_, found), given in zip(replayed, written, strict=True))
    assert embedded.damage == []


def test_numbers_go_on_after_a_restart_also_when_all_records_are_gone(path: Path) -> None:
    store = EmbeddedStore.open(path, CATALOGUE)
    store.append([record(T0), record(T0)], [], {})
    store.write(finished(consumed_seq=2))
    assert store.journal.trim(2, T0 + 1) == 2
    store.close()
    store = EmbeddedStore.open(path, CATALOGUE)
    assert store.consumed_seq == 2
    assert store.append([record(T0)], [], {}) == [3]
    store.close()


def test_series_and_nodes_come_with_the_records_that_use_them_first(path: Path) -> None:
    store = EmbeddedStore.open(path, CATALOGUE)
    first = NewSeries(7, (("__name__", "m"), ("instance", 'a"b\\c'), ("odd", "é\x00☃")))
    second = NewSeries(8, (("__name__", "m"),))
    store.append([record(T0, (7, T0, 1.0))], [first], {3: NodeName("east", "pump")})
    store.append([record(T0, (8, T0, 1.0))], [second], {4: NodeName("", "pump")})
    store.close()
    store = EmbeddedStore.open(path, CATALOGUE)
    assert store.journal.series() == [first, second]
    assert store.nodes() == {3: NodeName("east", "pump"), 4: NodeName("", "pump")}
    store.journal.forget_series([7])
    assert store.journal.series() == [second]
    store.append([record(T0, (7, T0, 1.0))], [first], {})
    assert store.journal.series() == [first, second]
    store.close()


def test_trimming_takes_what_is_both_consumed_and_old(embedded: EmbeddedStore) -> None:
    embedded.append([record(T0 + i, (1, T0, 0.0)) for i in range(10)], [], {})
    assert embedded.journal.trim(consumed_seq=0, received_before_ms=T0 + 100) == 0
    assert embedded.journal.trim(consumed_seq=10, received_before_ms=T0) == 0
    assert embedded.journal.trim(consumed_seq=4, received_before_ms=T0 + 100) == 4
    assert embedded.journal.trim(consumed_seq=10, received_before_ms=T0 + 6) == 2
    assert [number for number, _ in embedded.journal.replay()] == [7, 8, 9, 10]


def test_the_journal_knows_its_size(path: Path) -> None:
    store = EmbeddedStore.open(path, CATALOGUE)
    store.append([record(T0, (1, T0, 1.0)), record(T0 + 1)], [], {})
    assert (store.journal.records, store.journal.bytes) == (2, 24 + 20 + 24)
    store.journal.trim(1, T0 + 1)
    assert (store.journal.records, store.journal.bytes) == (1, 24)
    store.close()
    store = EmbeddedStore.open(path, CATALOGUE)
    assert (store.journal.records, store.journal.bytes) == (1, 24)
    store.close()


DAMAGE: dict[str, Callable[[bytes], object]] = {
    "cut to nothing": lambda stored: stored[:0],
    "cut in its header": lambda stored: stored[:10],
    "cut in its samples": lambda stored: stored[:-1],
    "with bytes behind it": lambda stored: stored + b"\x00",
    "with another first byte": lambda stored: b"X" + stored[1:],
    "with a flipped bit in its count": lambda stored: stored[:8] + bytes([stored[8] ^ 1]) + stored[9:],
    "with a flipped bit in its values": lambda stored: stored[:-1] + bytes([stored[-1] ^ 0x80]),
    "turned into text": lambda stored: stored.hex(),
    "turned into a number": len,
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_record_is_left_out_and_named_and_all_others_are_used(path: Path, kind: str) -> None:
    store = EmbeddedStore.open(path, CATALOGUE)
    written = [record(T0 + i, (i, T0, float(i))) for i in range(5)]
    store.append(written, [], {})
    with sqlite3.connect(path) as other:
        other.execute("UPDATE journal SET record = ? WHERE seq = 3", (DAMAGE[kind](encode(written[2])),))
    other.close()
    replayed = dict(store.journal.replay())
    assert list(replayed) == [1, 2, 4, 5]
    assert all(same(found, written[number - 1]) for number, found in replayed.items())
    assert len(store.damage) == 1
    assert store.damage[0].startswith("journal record 3: ")
    store.close()


def test_records_that_vanished_are_named(embedded: EmbeddedStore, path: Path) -> None:
    embedded.append([record(T0)] * 9, [], {})
    with sqlite3.connect(path) as other:
        other.execute("DELETE FROM journal WHERE seq IN (3, 4, 7)")
    other.close()
    assert [number for number, _ in embedded.journal.replay()] == [1, 2, 5, 6, 8, 9]
    assert embedded.damage == ["journal records 3 to 4: missing", "journal records 7 to 7: missing"]


def test_a_damaged_series_has_no_labels_any_more_and_is_named(embedded: EmbeddedStore, path: Path) -> None:
    kept = NewSeries(1, (("__name__", "m"),))
    embedded.append([], [kept, NewSeries(2, (("__name__", "n"),)), NewSeries(3, (("__name__", "o"),))], {})
    with sqlite3.connect(path) as other:
        other.execute("UPDATE series SET labels = CAST(x'5b5b22ff' AS TEXT) WHERE id = 2")
        other.execute("UPDATE series SET labels = 5 WHERE id = 3")
    other.close()
    # Their ids stay taken.
    assert embedded.journal.series() == [kept, NewSeries(2, ()), NewSeries(3, ())]
    assert [line.split(":")[0] for line in embedded.damage] == ["series 2", "series 3"]


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, dict[int, JournalRecord]]:
    """A closed file with 300 records of one to four pages, and what they are."""
    path = tmp_path_factory.mktemp("pristine") / "x.db"
    rng = np.random.default_rng(1)
    records = [
        JournalRecord(T0 + i, Samples(np.arange(m, dtype=np.int32), np.arange(m) + T0, rng.normal(size=m)))
        for i, m in enumerate(rng.integers(50, 1500, 300).tolist())
    ]
    store = EmbeddedStore.open(path, CATALOGUE)
    numbers = store.append(records, [NewSeries(i, (("__name__", f"m{i}"),)) for i in range(1500)], {})
    store.close()
    return path.read_bytes(), dict(zip(numbers, records, strict=True))
