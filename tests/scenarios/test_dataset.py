"""The sessions that ship, and how a session is written and read."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from models.scenarios import dataset
from models.scenarios.dataset import Attacked
from models.table import read
from receiver.errors import DataError


def exported(path: Path, attack: list[int]) -> Path:
    times = pa.array([1000, 2000, 3000, 1000, 2000, 3000], pa.timestamp("ms", "UTC"))
    nodes = pa.array(["a", "a", "a", "b", "b", "b"])
    values = pa.array([1.0, 2.0, None, 4.0, 5.0, 6.0])
    parquet.write_table(pa.table({"time": times, "node": nodes, "load1": values, "attack": attack}), path)
    return path


def test_a_session_is_read_as_it_was_written(tmp_path: Path) -> None:
    episode = Attacked("a", "cpu-stress", 0.5, 1500, 2500, 7)
    path = dataset.write(exported(tmp_path / "x.parquet", [0, 1, 0, 0, 0, 0]), [episode], tmp_path / "out", 7)
    assert dataset.sessions(tmp_path / "out") == [path]
    assert dataset.episodes(path) == [episode]
    np.testing.assert_array_equal(read(path).x[:, 0], np.array([1, 2, np.nan, 4, 5, 6], np.float32))


def test_features_are_kept_as_float32(tmp_path: Path) -> None:
    path = dataset.write(exported(tmp_path / "x.parquet", [0] * 6), [], tmp_path, 1)
    assert parquet.read_schema(path).field("load1").type == pa.float32()


def test_rows_that_are_marked_without_an_episode_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="its column attack is not what its episodes say"):
        dataset.write(exported(tmp_path / "x.parquet", [1, 0, 0, 0, 0, 0]), [], tmp_path, 1)


def test_a_session_that_is_forgotten_is_gone(tmp_path: Path) -> None:
    dataset.write(exported(tmp_path / "x.parquet", [0] * 6), [], tmp_path / "out", 1)
    dataset.forget(tmp_path / "out", 1)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_damaged_table_of_episodes_is_named(tmp_path: Path) -> None:
    path = tmp_path / "session-1.parquet"
    dataset.episodes_path(path).write_text("node,kind\na,b\n")
    with pytest.raises(DataError, match=r"session-1\.episodes\.csv: cannot be read as episodes"):
        dataset.episodes(path)
