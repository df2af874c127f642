"""`nodescore export`."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from receiver.columns import NodeName
from tests.cli.conftest import FEATURES, Nodescore, fill


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text.splitlines()))


def test_the_papers_table_2_time_node_24_raw_columns_attack(nodescore: Nodescore, data_dir: Path) -> None:
    out = nodescore("export", "--data-dir", data_dir).out
    rows = table(out)
    assert list(rows[0]) == ["time", "node", *FEATURES, "attack"]
    assert len(rows) == 12
    assert (rows[3]["time"], rows[3]["node"], rows[3]["attack"]) == ("2026-11-20T08:00:10Z", "worker-2", "0")
    assert (rows[3]["cpu_sec_idle"], rows[3]["open_fds"]) == ("1001", "1001.23")


def test_a_missing_value_is_empty(nodescore: Nodescore, data_dir: Path) -> None:
    assert table(nodescore("export", "--data-dir", data_dir).out)[0][FEATURES[1]] == ""


def test_a_cluster_stands_beside_its_node(nodescore: Nodescore, tmp_path: Path) -> None:
    data_dir = fill(tmp_path / "eu", nodes={0: NodeName("eu", "w"), 1: NodeName("", "v")})
    rows = table(nodescore("export", "--data-dir", data_dir).out)
    assert [(row["node"], row["cluster"]) for row in rows[:2]] == [("w", "eu"), ("v", "")]


def test_rows_are_chosen_by_time_node_and_number(nodescore: Nodescore, data_dir: Path) -> None:
    times = ("--since", "2026-11-20T08:00:10Z", "--until", "2026-11-20T08:00:40Z")
    rows = table(nodescore("export", "--data-dir", data_dir, *times, "--node", "worker-2", "--records", "2").out)
    assert [(row["time"][11:19], row["node"]) for row in rows] == [("08:00:10", "worker-2"), ("08:00:20", "worker-2")]


def test_a_time_that_ends_before_it_begins_is_refused(nodescore: Nodescore, data_dir: Path) -> None:
    said = nodescore("export", "--data-dir", data_dir, "--since", "-1h", "--until", "-2h")
    assert (said.status, said.out) == (2, "")
    assert "--since must be before --until" in said.err


def test_an_interval_keeps_the_last_row_of_each_node_in_it(nodescore: Nodescore, data_dir: Path) -> None:
    rows = table(nodescore("export", "--data-dir", data_dir, "--interval", "30s").out)
    assert [(row["time"][17:19], row["node"]) for row in rows] == [
        ("20", "worker-1"),
        ("20", "worker-2"),
        ("50", "worker-1"),
        ("50", "worker-2"),
    ]


def test_the_papers_table_3_is_z_scored_over_the_exported_rows(nodescore: Nodescore, data_dir: Path) -> None:
    rows = table(nodescore("export", "--data-dir", data_dir, "--zscore", "--node", "worker-1").out)
    z = np.array([float(row["cpu_sec_idle"]) for row in rows])
    assert z == pytest.approx((np.arange(6) - 2.5) / np.arange(6).std())
    assert rows[0][FEATURES[1]] == ""


def test_the_inputs_of_the_detector_are_written_in_their_shortest_decimals(
    nodescore: Nodescore, data_dir: Path
) -> None:
    rows = table(nodescore("export", "--data-dir", data_dir, "--inputs").out)
    assert (rows[3]["disk_av_per"], rows[0]["disk_av_per"]) == ("1001.01", "")


def test_parquet_holds_the_same_table_with_its_types(nodescore: Nodescore, data_dir: Path, tmp_path: Path) -> None:
    nodescore("export", tmp_path / "a.parquet", "--data-dir", data_dir)
    nodescore("export", tmp_path / "a.csv", "--data-dir", data_dir)
    parquet = pyarrow.parquet.read_table(tmp_path / "a.parquet")
    rows = table((tmp_path / "a.csv").read_text())
    assert str(parquet.schema.field("time").type) == "timestamp[ms, tz=UTC]"
    assert parquet.column_names == list(rows[0])
    assert parquet["open_fds"].to_pylist() == [float(row["open_fds"]) for row in rows]
    assert parquet["node"].to_pylist() == [row["node"] for row in rows]


def test_parquet_goes_to_standard_output_byte_for_byte_as_to_a_file(
    nodescore: Nodescore, data_dir: Path, tmp_path: Path
) -> None:
    nodescore("export", tmp_path / "a.parquet", "--data-dir", data_dir)
    command = [sys.executable, "-m", "receiver", "export", "--format", "parquet", "--data-dir", str(data_dir)]
    piped = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=Path(__file__).parents[2])
    assert piped.stdout == (tmp_path / "a.parquet").read_bytes()


def test_a_store_without_rows_gives_the_header(nodescore: Nodescore, data_dir: Path) -> None:
    assert len(nodescore("export", "--data-dir", data_dir, "--until", "1").out.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--node", "w"], "--node: the store has no node w"),
        (["--interval", "often"], "--interval: 'often' is not a duration; write it like 30s, 10m, 1h30m or 7d"),
        (["--interval", "0s"], "--interval: must be longer than 0"),
        (["no/such/folder/a.csv"], "no/such/folder/a.csv: cannot be written: No such file or directory"),
    ],
)
def test_what_cannot_be_exported_says_why(
    nodescore: Nodescore, data_dir: Path, arguments: list[str], line: str
) -> None:
    done = nodescore("export", *arguments, "--data-dir", data_dir)
    assert (done.status, done.err) == (2, f"nodescore: {line}\n")


def test_a_broken_export_leaves_the_older_file_and_no_other(
    nodescore: Nodescore, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out" / "a.csv"
    target.parent.mkdir()
    target.write_text("older")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("receiver.cli.export.attacks", full)
    done = nodescore("export", target, "--data-dir", data_dir)
    assert (done.status, done.err) == (2, f"nodescore: {target}: cannot be written: No space left on device\n")
    assert [(path.name, path.read_text()) for path in target.parent.iterdir()] == [("a.csv", "older")]


def test_a_reader_that_has_enough_ends_it_quietly(tmp_path: Path) -> None:
    data_dir = fill(tmp_path / "data", rows=3000)
    with subprocess.Popen(
        [sys.executable, "-m", "receiver", "export", "--data-dir", data_dir],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as export:
        assert export.stdout is not None
        assert export.stderr is not None
        assert export.stdout.readline().startswith(b"time,node,")
        export.stdout.close()
        assert export.stderr.read() == b""
        assert export.wait() == 1
