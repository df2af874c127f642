"""One service writes; other processes and threads read and label; and the service is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np

from receiver.columns import NodeName
from receiver.store.embedded import EmbeddedReader, EmbeddedStore
from receiver.store.embedded.sqlite import connect, transaction
from tests.store.data import CATALOGUE, FEATURES, T0, finished, label, names, record, stored_rows

PUMP = NodeName("east", "pump-1")
ROOT = Path(__file__).parents[2]

# Appends one record after the other, and says so only after each.
WRITER = """
import sys
from pathlib import Path
from receiver.store.embedded import EmbeddedStore
from tests.store.data import CATALOGUE, T0, record

store = EmbeddedStore.open(Path(sys.argv[1]), CATALOGUE, "full")
while True:
    (seq,) = store.append([record(T0, *((i, T0, 0.5) for i in range(200)))], [], {})
    print(seq, flush=True)
"""

# Reads everything until the last row is there; every row it sees must be whole.
READER = """
import sys
from pathlib import Path
from receiver.store.embedded import EmbeddedReader
from tests.store.data import CATALOGUE, T0

last = T0 + int(sys.argv[2])
reads = 0
while True:
    reader = EmbeddedReader.open(Path(sys.argv[1]), CATALOGUE)
    times = []
    for block in reader.read_rows(0, 1 << 50):
        times += block.time_ms.tolist()
        assert (block.raw == (block.time_ms - T0)[:, None]).all(), "a torn row"
    reader.close()
    assert times == list(range(T0, T0 + len(times))), "a gap"
    assert len(times) % 10 == 0, "half a flush"
    reads += 1
    if times and times[-1] == last:
        break
print(reads)
"""

LABELLER = """
import sys
from pathlib import Path
from receiver.columns import NodeName
from receiver.store.embedded import EmbeddedReader
from tests.store.data import CATALOGUE, T0, label

reader = EmbeddedReader.open(Path(sys.argv[1]), CATALOGUE)
for i in range(20):
    reader.add_label(label(NodeName("east", "pump-1"), T0 + i, T0 + i))
reader.close()
"""


def python(program: str, *arguments: object) -> subprocess.Popen[str]:
    """Another process."""
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE, text=True, bufsize=1
    )


def test_what_was_acknowledged_survives_a_kill(path: Path) -> None:
    writer = python(WRITER, path)
    assert writer.stdout is not None
    acknowledged = [int(writer.stdout.readline()) for _ in range(200)]
    writer.send_signal(signal.SIGKILL)
    acknowledged += [int(line) for line in writer.stdout.read().split()]
    writer.wait()
    writer.stdout.close()

    store = EmbeddedStore.open(path, CATALOGUE)
    replayed = [seq for seq, _ in store.journal.replay()]
    assert replayed[: len(acknowledged)] == acknowledged == list(range(1, len(acknowledged) + 1))
    assert len(replayed) <= len(acknowledged) + 1  # the one that was written and not yet said
    assert store.damage == []
    store.close()


def test_another_process_sees_whole_flushes_while_the_service_writes(embedded: EmbeddedStore, path: Path) -> None:
    embedded.add_nodes(names(1))
    reader = python(READER, path, 1999)
    for flush in range(0, 2000, 10):
        embedded.append([record(T0 + flush, (1, T0, 1.0))], [], {})
        embedded.write(finished([(1, T0 + i, (i,) * FEATURES) for i in range(flush, flush + 10)]))
    reads, _ = reader.communicate(timeout=60)
    assert reader.returncode == 0
    assert int(reads) > 0


def test_labels_from_another_process_arrive_while_the_service_writes(embedded: EmbeddedStore, path: Path) -> None:
    embedded.add_nodes(names(1))
    labeller = python(LABELLER, path)
    writes = 0
    while labeller.poll() is None:
        embedded.write(finished([(1, T0 + writes, (1, 2, 3))]))
        writes += 1
    labeller.communicate()
    assert labeller.returncode == 0
    assert len(embedded.labels(0, 1 << 50)) == 20
    assert len(stored_rows(embedded)) == writes


def test_threads_read_at_once_each_with_its_own_reader(embedded: EmbeddedStore, path: Path) -> None:
    embedded.add_nodes(names(1))
    seen: list[int] = []
    stop = threading.Event()

    def read() -> None:
        reader = EmbeddedReader.open(path, CATALOGUE)
        while True:
            last_round = stop.is_set()
            count = sum(len(block) for block in reader.read_rows(0, 1 << 50))
            if last_round:
                seen.append(count)
                break
        reader.close()

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for i in range(300):
        embedded.write(finished([(1, T0 + i, (1, 2, 3))]))
    stop.set()
    for thread in threads:
        thread.join()
    assert seen == [300] * 3


def test_the_service_waits_for_a_short_write_of_another_process(embedded: EmbeddedStore, path: Path) -> None:
    other = connect(path, "normal")
    holding, release = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction(other):
            holding.set()
            release.wait(5)

    thread = threading.Thread(target=hold)
    thread.start()
    holding.wait(5)
    threading.Timer(0.05, release.set).start()
    assert embedded.append([record(T0)], [], {}) == [1]
    thread.join()
    other.close()


def test_an_export_in_the_middle_of_its_blocks_does_not_stop_the_log_from_being_reused(
    embedded: EmbeddedStore, path: Path
) -> None:
    embedded.add_nodes(names(1))
    embedded.write(finished([(1, T0 + i, (1, 2, 3)) for i in range(10_000)]))
    reader = EmbeddedReader.open(path, CATALOGUE)
    blocks = reader.read_rows(0, 1 << 50)
    assert len(next(blocks)) < 10_000
    busy, in_log, copied = embedded._connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
    assert (busy, in_log) == (0, copied)
    assert sum(len(block) for block in blocks) > 0
    reader.close()


def test_a_label_of_this_process_and_of_another_have_ids_of_their_own(embedded: EmbeddedStore, path: Path) -> None:
    reader = EmbeddedReader.open(path, CATALOGUE)
    given = [label(PUMP, T0 + i, T0 + i) for i in range(4)]
    ids = [store.add_label(each) for store, each in zip((embedded, reader, embedded, reader), given, strict=True)]
    reader.close()
    assert len(set(ids)) == 4
    assert np.diff([found.start_ms for found in embedded.labels(0, 1 << 50)]).tolist() == [1, 1, 1]
