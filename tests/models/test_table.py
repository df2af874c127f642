"""Tables as users have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from models.table import joined, read
from receiver.columns import NodeName
from receiver.errors import DataError


def csv(path: Path, *lines: str) -> Path:
    file = path / "table.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


MIDNIGHT_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z


@pytest.mark.parametrize(
    "time",
    [
        "2026-01-01T00:00:00Z",
        "2026-01-01 00:00:00",
        "2026-01-01T00:00:00",
        "2026-01-01T01:00:00+01:00",
        "2026-01-01T00:00:00.000Z",
        "2026-01-01 00:00:00+00:00",
        "1767225600",
        "1767225600.0",
        "1767225600000",
    ],
)
def test_times_may_be_written_in_every_usual_way(tmp_path: Path, time: str) -> None:
    table = read(csv(tmp_path, "time,node,a", f"{time},n,1"))
    assert table.time_ms.tolist() == [MIDNIGHT_MS]
    assert table.time_text.to_pylist() == [time]


def test_times_of_several_kinds_may_be_mixed(tmp_path: Path) -> None:
    table = read(csv(tmp_path, "time,a", "2026-01-01T00:00:00Z,1", "2026-01-01 00:00:01,1"))
    assert table.time_ms.tolist() == [MIDNIGHT_MS, MIDNIGHT_MS + 1000]


def test_every_column_that_is_not_reserved_is_a_feature(tmp_path: Path) -> None:
    table = read(csv(tmp_path, "b,time,node,a,attack,cluster", "1,1767225600,n,2,1,c"))
    assert table.features == ("b", "a")
    assert table.x.tolist() == [[1, 2]]
    assert table.nodes == (NodeName("c", "n"),)
    assert table.attack is not None
    assert table.attack.tolist() == [True]


def test_equal_names_in_two_clusters_are_two_nodes(tmp_path: Path) -> None:
    table = read(csv(tmp_path, "time,cluster,node,a", "1767225600,c,n,1", "1767225600,d,n,1", "1767225601,c,n,1"))
    assert table.node.tolist() == [0, 1, 0]


def test_without_a_node_column_all_rows_are_one_nodes(tmp_path: Path) -> None:
    table = read(csv(tmp_path, "time,a", "1767225600,1", "1767225601,1"))
    assert table.node.tolist() == [0, 0]
    assert table.entity_columns == frozenset()


@pytest.mark.parametrize("missing", ["", "NaN", "nan", "NA", "null"])
def test_missing_values_are_nan(tmp_path: Path, missing: str) -> None:
    assert np.isnan(read(csv(tmp_path, "time,a,b", f"1767225600,{missing},1")).x[0, 0])


def test_a_missing_column_value_is_missing_for_all_rows(tmp_path: Path) -> None:
    assert np.isnan(read(csv(tmp_path, "time,a,b", "1767225600,,1", "1767225601,,1")).x[:, 0]).all()


def test_parquet_reads_like_csv(tmp_path: Path) -> None:
    file = tmp_path / "table.parquet"
    stamp = pa.array([MIDNIGHT_MS * 1000], pa.timestamp("us", "UTC"))
    pyarrow.parquet.write_table(pa.table({"time": stamp, "node": ["n"], "a": [1.5], "attack": [True]}), file)
    table = read(file)
    assert table.time_ms.tolist() == [MIDNIGHT_MS]
    assert table.x.tolist() == [[1.5]]
    assert table.attack is not None
    assert table.attack.tolist() == [True]


def test_parquet_of_float32_and_ids(tmp_path: Path) -> None:
    file = tmp_path / "table.parquet"
    columns = {"time": [1767225600], "a": pa.array([2.5], pa.float32()), "b": [None]}
    pyarrow.parquet.write_table(pa.table(columns), file)
    assert np.array_equal(read(file).x, [[2.5, np.nan]], equal_nan=True)


def test_a_folders_parquet_files_are_one_table_and_a_column_that_some_lack_is_missing_there(tmp_path: Path) -> None:
    for name, columns in (
        ("b", {"time": [20], "node": ["n2"], "load1": [2.0], "forks": [5.0]}),
        ("a", {"time": [10], "node": ["n1"], "load1": [1.0]}),
    ):
        pyarrow.parquet.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
    (tmp_path / "a.episodes.csv").write_text("node\nn1\n")
    table = read(tmp_path)
    assert [name.node for name in table.nodes] == ["n1", "n2"]
    assert table.features == ("load1", "forks")
    assert np.array_equal(table.x, np.array([[1, np.nan], [2, 5]], np.float32), equal_nan=True)


def test_a_folder_without_parquet_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"without a \.parquet file"):
        read(tmp_path)


def test_files_that_disagree_on_a_column_are_refused(tmp_path: Path) -> None:
    for name, value in (("a", 1.0), ("b", "much")):
        pyarrow.parquet.write_table(pa.table({"time": [10], "load1": [value]}), tmp_path / f"{name}.parquet")
    with pytest.raises(DataError, match="are no one table"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["node,a", "n,1"], "no column time; it has: node, a"),
        (["time,node", "1,n"], "no feature column"),
        (["time,a"], "no rows"),
        (["time,a,a", "1,2,3"], "column a is there twice"),
        (["time,a", "1,2", "2,much"], "column a: 'much' in line 3 is no number"),
        (["time,a", "2026-01-01T00:00:00Z,2", "soon,3"], "column time: 'soon' in line 3"),
        (["time,a", "1,2", ",3"], "column time: nothing in line 3"),
        (["time,a", "1e300,2"], "column time: line 2 is neither"),
        (["time,node,a", "1,n,2", "2,,3"], "column node: nothing in line 3"),
        (["time,a,attack", "1,2,0", "2,2,yes"], "column attack: 'yes' in line 3"),
        (["time,a,attack", "1,2,0", "2,2,2"], "column attack: line 3 is neither 0 nor 1"),
        (["time,a", "1,2,3"], "cannot be read as CSV"),
    ],
)
def test_a_fault_is_named_with_its_column_and_line(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(DataError) as caught:
        read(csv(tmp_path, *lines))
    assert message in str(caught.value)
    assert "table.csv" in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path / "none.csv")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read(tmp_path / "none.parquet")


def test_features_can_be_selected_by_name_and_order(tmp_path: Path) -> None:
    table = read(csv(tmp_path, "time,a,b,c", "1767225600,1,2,3"))
    assert table.select(("c", "a")).x.tolist() == [[3, 1]]
    with pytest.raises(DataError, match="the table lacks d, it has: a, b, c"):
        table.select(("a", "d"))


def test_a_first_row_stands_for_the_usual_time(tmp_path: Path) -> None:
    table = read(csv(tmp_path, "time,node,a", "100,m,1", "110,n,1", "105,m,1", "112,n,1", "115,m,1"))
    assert table.row_seconds().tolist() == [5, 5, 5, 2, 10]


def test_joined_tables_keep_their_nodes_apart(tmp_path: Path) -> None:
    two = read(csv(tmp_path, "time,node,a,attack", "10,m,1,0", "10,n,2,1", "20,n,3,1"))
    one = read(csv(tmp_path, "time,node,a,attack", "10,o,4,0"))
    both = joined([two, one])
    assert [name.node for name in both.nodes] == ["m", "n", "o"]
    assert both.node.tolist() == [0, 1, 1, 2]
    assert both.node.dtype == np.int32
    assert both.x[:, 0].tolist() == [1, 2, 3, 4]
    assert both.attack is not None
    assert both.attack.tolist() == [False, True, True, False]
    assert both.take(both.node == 2).time_text.to_pylist() == ["10"]


def test_a_table_joined_with_one_without_labels_has_none(tmp_path: Path) -> None:
    labelled = read(csv(tmp_path, "time,node,a,attack", "10,m,1,1"))
    assert joined([labelled, read(csv(tmp_path, "time,node,a", "10,n,1"))]).attack is None
