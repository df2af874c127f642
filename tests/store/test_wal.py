"""The log read without SQLite: what of it was committed, and what in it is damaged."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.store.embedded.salvage.wal import read_log
from tests.store.used import use

NAME = "nodescore.db"
FRAME = 24 + 8192


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with its log, which has started again from its beginning once."""
    made = tmp_path_factory.mktemp("log")
    use(made)
    return made / "open"


def committed_frames(folder: Path) -> int:
    """As SQLite counts them."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = shutil.copytree(folder, Path(scratch) / "copy")
        with closing(sqlite3.connect(copy / NAME)) as connection:
            connection.execute("SELECT * FROM progress").fetchall()
            return int(connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1])


def test_a_log_without_damage_has_no_faults_and_as_many_frames_as_sqlite_reads(folder: Path) -> None:
    log = read_log(folder / NAME)
    assert (log.faults, log.cut) == ((), "")
    assert len(log) == committed_frames(folder) < (folder / f"{NAME}-wal").stat().st_size // FRAME
    assert log.whole.all()


def test_no_log_is_one_without_frames(tmp_path: Path) -> None:
    log = read_log(tmp_path / NAME)
    assert (len(log), log.pages, log.faults, log.cut) == (0, 0, (), "")


@settings(max_examples=60, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_is_found_and_costs_no_other_frame_but_the_next(folder: Path, share: float, bit: int) -> None:
    frames = len(read_log(folder / NAME))
    with tempfile.TemporaryDirectory() as scratch:
        copy = shutil.copytree(folder, Path(scratch) / "copy")
        log = copy / f"{NAME}-wal"
        content = bytearray(log.read_bytes())
        at = int(share * (32 + frames * FRAME))
        content[at] ^= 1 << bit
        log.write_bytes(content)
        found = read_log(copy / NAME)
    assert found.faults or found.cut
    place = max(0, (at - 32) // FRAME)
    damaged = set(range(len(found))) - {int(frame) for frame in found.whole.nonzero()[0]}
    assert damaged <= {place, place + 1}
    # The bits that end the last transaction are the only ones that cost more than their frame.
    assert len(found) == frames or place == frames - 1


@pytest.mark.parametrize("frames", [0, 1, 20])
def test_a_log_that_was_cut_off_is_found_by_what_its_index_says(folder: Path, tmp_path: Path, frames: int) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    with (copy / f"{NAME}-wal").open("r+b") as log:
        log.truncate(32 + frames * FRAME - 1)
    found = read_log(copy / NAME)
    assert found.cut.startswith(f"{NAME}-wal: ends after frame ")
    assert found.faults == ()
    assert len(found) < max(1, frames)


def test_a_log_that_is_in_the_file_already_may_be_gone(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    with closing(sqlite3.connect(copy / NAME)) as connection:
        connection.execute("SELECT * FROM progress").fetchall()
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        other = shutil.copytree(copy, tmp_path / "other")
    (other / f"{NAME}-wal").unlink()
    assert read_log(other / NAME).cut == ""
