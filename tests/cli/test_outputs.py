"""Where a command writes at the end of its work."""

from pathlib import Path

import pytest

from tests.cli.conftest import Nodescore

# None of what they read is there either, and that is not what they complain of: nothing is read before.
NOWHERE = [
    ("train", "--data", "none.csv", "--out", "no/file"),
    ("score", "--data", "none.csv", "--out", "no/file"),
    ("evaluate", "--data", "none.csv", "--picture", "no/file"),
    ("export", "no/file", "--data-dir", "none", "--zscore"),
]


@pytest.mark.parametrize("command", NOWHERE, ids=lambda command: str(command[0]))
def test_a_place_that_cannot_be_written_is_refused_before_the_work(
    nodescore: Nodescore, tmp_path: Path, command: tuple[str, ...]
) -> None:
    done = nodescore(*command)
    assert (done.status, done.err) == (2, "nodescore: no/file: cannot be written: No such file or directory\n")

    (tmp_path / "no").mkdir()
    (tmp_path / "no" / "file").mkdir()
    done = nodescore(*command)
    assert (done.status, done.err) == (2, "nodescore: no/file: cannot be written: Is a directory\n")

    (tmp_path / "no" / "file").rmdir()
    assert "none" in nodescore(*command).err
    assert not list((tmp_path / "no").iterdir())


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["run", "cryptojacking", "--out", "file/sessions"], "file/sessions: cannot be made: Not a directory"),
        (["record", "file"], "file: cannot be made: File exists"),
        (["record", "s", "--recording", "no/r.gz"], "no/r.gz: cannot be written: No such file or directory"),
    ],
)
def test_a_session_is_not_recorded_for_a_folder_that_cannot_be_made(
    nodescore: Nodescore, tmp_path: Path, arguments: list[str], line: str
) -> None:
    (tmp_path / "file").touch()
    done = nodescore("scenario", *arguments)
    assert (done.status, done.err) == (2, f"nodescore: {line}\n")
