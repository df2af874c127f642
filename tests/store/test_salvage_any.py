"""Whatever is damaged, of the embedded file or its log: every whole record is given, and what is lacking is named."""

from __future__ import annotations

import re
import shutil
import struct
import tempfile
import zlib
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from receiver.store.embedded.journal import encode
from receiver.store.embedded.salvage.wal import read_log
from tests.store.data import stored_rows, stored_scores
from tests.store.used import FILES, NAME, Used, opened

FRAME = 24 + 8192


def whole_records(folder: Path, pristine: bytes) -> set[bytes]:
    """The records that stand in one piece in the file, or in the log as far as it is committed: by their checksums."""
    found = set()
    for content in ((folder / NAME).read_bytes(), *committed(folder / f"{NAME}-wal", pristine)):
        for match in re.finditer(b"NSJ1", content):
            start = match.start()
            if len(content) - start >= 24:
                _, checksum, samples, _ = struct.unpack_from("<4sIQq", content, start)
                record = content[start : start + 24 + 20 * min(samples, 1 << 20)]
                if len(record) == 24 + 20 * samples and zlib.crc32(record[8:]) == checksum:
                    found.add(record)
    return found


def committed(log: Path, pristine: bytes) -> list[bytes]:
    """The pages of a log up to the last frame that ends a transaction; those behind are of an earlier log."""
    content = log.read_bytes() if log.exists() else b""
    starts = range(32, len(pristine), FRAME)
    ours = sum(pristine[start + 8 : start + 16] == pristine[16:24] for start in starts)
    frames = [content[start : start + FRAME] for start in starts[:ours] if start + FRAME <= len(content)]
    ends = [place for place, frame in enumerate(frames) if frame[4:8] != bytes(4)]
    return [frame[24:] for frame in frames[: ends[-1] + 1 if ends else 0]]


def check(used: Used, folder: Path, whole: set[bytes]) -> None:
    """Open a damaged folder and hold it to what it must give."""
    journal = {encode(record) for record in used.records.values()}
    with opened(folder) as store:
        series = store.journal.series()
        given_ = {encode(record) for _, record in store.journal.replay()}
        rows, scores = stored_rows(store), stored_scores(store)
        assert whole & journal <= given_
        everything = (
            journal <= given_
            and used.rows.keys() <= rows.keys()
            and used.scores.keys() <= scores.keys()
            and set(used.series) <= set(series)
            and used.labels == store.labels(0, 1 << 50)
            and used.mutes == store.mutes(0)
        )
        assert everything or store.damage
        # It goes on as ever.
        assert all(not fault for fault in read_log(folder / NAME).faults)
        (sound,) = store._connection.execute("PRAGMA integrity_check").fetchone()
        assert sound == "ok"
    with opened(folder) as store:
        again = {encode(record) for _, record in store.journal.replay()}
        assert again == given_


DAMAGE = st.one_of(
    st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 7)).map(lambda found: ("bit", *found)),
        min_size=1,
        max_size=6,
    ),
    st.floats(0, 1, exclude_max=True).map(lambda share: [("cut", share, 0)]),
    st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 9000)).map(lambda found: [("zeros", *found)]),
)


@settings(max_examples=100, deadline=None)
@example(place=("open", f"{NAME}-wal"), damage=[("zeros", 0.0, 8257)])  # which salt is the log's?
@example(place=("open", NAME), damage=[("cut", 0.0, 0)])  # SQLite would drop the log
@given(place=st.sampled_from([(state, name) for state, names in FILES.items() for name in names]), damage=DAMAGE)
def test_a_damaged_file_or_log_gives_every_whole_record_and_names_what_it_lacks(
    used: Used, place: tuple[str, str], damage: list[tuple[str, float, int]]
) -> None:
    state, name = place
    with tempfile.TemporaryDirectory() as scratch:
        folder = shutil.copytree(used.folder / state, Path(scratch) / state)
        content = bytearray((folder / name).read_bytes())
        for kind, share, number in damage:
            at = int(share * len(content))
            if kind == "bit":
                content[at] ^= 1 << number
            elif kind == "cut":
                del content[at:]
            else:
                content[at : at + number] = bytes(len(content[at : at + number]))
        (folder / name).write_bytes(content)
        check(used, folder, whole_records(folder, used.log))
