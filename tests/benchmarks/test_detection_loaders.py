"""The loaders read files of the published form; these files are made up, but the real data is used where it is."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from benchmarks.detection import aks, eks, hpas, machines, scenarios
from benchmarks.detection.cases import START_MS
from benchmarks.detection.sets import SETS
from benchmarks.detection.splits import Part
from receiver.catalogue import load
from receiver.errors import DataError

FEATURES = load().feature_names
START_SECONDS = 1_780_000_000


def write_eks(folder: Path, name: str, attack: Sequence[int], **columns: float) -> None:
    """One row in two or three seconds, every feature 4.0 unless given otherwise."""
    values = dict.fromkeys(FEATURES, 4.0) | dict.fromkeys(("receive_drop", "receive_errs"), 0.0)
    values |= {"est_conn": -1.0, "lis_conn": -1.0} | columns
    lines = [",".join(['"id"', '"time"', *(f'"{feature}"' for feature in FEATURES), '"attack"'])]
    for row, label in enumerate(attack):
        second = row * 2 + row // 2
        time = f"2024-06-12 21:{second // 60:02}:{second % 60:02}"
        lines.append(",".join([str(row), f'"{time}"', *(f'"{values[feature]}"' for feature in FEATURES), str(label)]))
    (folder / "eks-node").mkdir(exist_ok=True)
    (folder / "eks-node" / f"node_{name}_eks_dev_us.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def eks_folder(tmp_path: Path) -> Path:
    for name in ("one", "three", "two"):
        write_eks(tmp_path, name, ([0] * 19 + [1]) * 10)
    return tmp_path


def test_eks_leaves_each_workload_out_once(eks_folder: Path) -> None:
    cases = eks.one_workload_out(eks_folder, "test")
    assert [case.name for case in cases] == ["one", "three", "two"]
    for case in cases:
        assert case.name not in {name.node for name in case.train.nodes}
        assert {name.node for name in case.streams[0].table.nodes} == {case.name}


def test_eks_rises_become_rates_and_what_was_not_collected_is_missing(eks_folder: Path) -> None:
    table = eks.nodes(eks_folder, "test")["one"]
    assert table.x[1:, table.features.index("forks_total")].tolist() == [2.0] * 199
    assert table.x[1:, table.features.index("load1")].tolist() == [4.0] * 199
    assert np.isnan(table.x[0, table.features.index("forks_total")])
    for feature in ("est_conn", "lis_conn", "receive_drop", "receive_errs"):
        assert np.isnan(table.x[:, table.features.index(feature)]).all()


def test_eks_tunes_on_the_beginning_of_every_workload_only(eks_folder: Path) -> None:
    (case, *_) = eks.one_workload_out(eks_folder, "tuning")
    assert len(case.train) == 2 * 120
    assert len(case.streams[0].table) == 120
    assert set(case.streams[0].views) == {"whole"}


def test_eks_counts_what_tuning_never_saw_by_itself(eks_folder: Path) -> None:
    stream = eks.one_workload_out(eks_folder, "test")[0].streams[0]
    assert np.flatnonzero(stream.views["last 40 %"]).tolist() == list(range(120, 200))


def test_eks_streams_without_attacks_and_with_few(eks_folder: Path) -> None:
    _, cut, thin = eks.one_workload_out(eks_folder, "test")[0].streams
    assert eks.labels(cut.table).sum() == 0
    assert len(cut.table) == 190
    assert 0 < eks.labels(thin.table).mean() <= 0.05


def test_eks_without_labels_trains_on_normal_rows_only(eks_folder: Path) -> None:
    for case in eks.unsupervised(eks_folder, "test"):
        assert case.train.attack is None
        assert len(case.train) == 2 * 190
        assert case.objective == "budget"


def test_eks_in_time_measures_the_last_fifth_of_every_workload(eks_folder: Path) -> None:
    (case,) = eks.in_time(eks_folder, "test")
    (stream,) = case.streams
    assert len(case.train) == 3 * 160
    assert np.bincount(stream.table.node[stream.views["last 20 %"]]).tolist() == [40, 40, 40]
    assert case.train.time_ms.max() < stream.table.time_ms[stream.views["last 20 %"]].min()


def test_eks_of_another_form_is_refused(tmp_path: Path) -> None:
    write_eks(tmp_path, "one", [0, 1] * 10)
    write_eks(tmp_path, "two", [0, 1] * 10)
    path = tmp_path / "eks-node" / "node_two_eks_dev_us.csv"
    lines = path.read_text().splitlines()
    lines[5] = lines[5].replace('"-1.0"', '"7.0"')
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=r"node_two.*est_conn is not constant"):
        eks.one_workload_out(tmp_path, "test")


def write_machines(folder: Path, names: Sequence[str]) -> None:
    folder.mkdir()
    for number, name in enumerate(names):
        label = np.zeros(40, np.uint8)
        label[20:25] = 1
        train = np.full((50, 3), number, np.float32)
        np.savez(folder / f"{name}.npz", train=train, test=train[:40] + 1, label=label)


def test_smd_trains_on_the_machine_itself_without_labels(tmp_path: Path) -> None:
    write_machines(tmp_path / "smd", ["machine-1-2", "machine-1-3"])
    first, _ = machines.smd(tmp_path, "test")
    assert first.name == "machine-1-2"
    assert first.train.attack is None
    assert np.diff(first.train.time_ms).tolist() == [60_000] * 49
    assert (first.train.x == 0).all()
    assert eks.labels(first.streams[0].table).sum() == 5


def test_smd_never_tunes_on_the_labelled_part(tmp_path: Path) -> None:
    write_machines(tmp_path / "smd", ["machine-1-2", "machine-1-3"])
    for case in [*machines.smd(tmp_path, "tuning"), *machines.smd_unseen(tmp_path, "tuning")]:
        for stream in case.streams:
            assert len(stream.table) % 15 == 0  # the last 30 % of 50 rows, of one machine or more
            assert set(np.unique(stream.table.x)) <= {0, 1}  # the train parts; the test parts are 1 higher


def test_a_machine_that_trained_is_judged_after_its_own_past(tmp_path: Path) -> None:
    write_machines(tmp_path / "smd", ["machine-1-2"])
    (case,) = machines.smd(tmp_path, "test")
    (stream,) = case.streams
    assert stream.past is not None
    assert stream.past.x.tolist() == case.train.x.tolist()  # which is shorter than a look back
    assert stream.table.time_ms[0] - stream.past.time_ms[-1] == 60_000
    assert np.flatnonzero(eks.labels(stream.table)).tolist() == [20, 21, 22, 23, 24]


def test_smd_of_unseen_machines_shares_none_between_the_sides(tmp_path: Path) -> None:
    write_machines(tmp_path / "smd", ["machine-1-2", "machine-1-3", "machine-1-4"])
    for case in machines.smd_unseen(tmp_path, "test"):
        assert not set(case.train.nodes) & set(case.streams[0].table.nodes)


def test_asd_tunes_on_labels_of_odd_servers_only(tmp_path: Path) -> None:
    write_machines(tmp_path / "asd", ["omi-1", "omi-2"])
    odd, even = machines.asd(tmp_path, "tuning")
    assert eks.labels(odd.streams[0].table).any()
    assert not eks.labels(even.streams[0].table).any()
    odd, even = machines.asd(tmp_path, "test")
    assert set(odd.streams[0].views) == {"all"}
    assert set(even.streams[0].views) == {"all", "untouched by tuning"}


def test_a_folder_without_machines_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="smd: no machine-"):
        machines.smd(tmp_path, "test")


def write_hpas(folder: Path, name: str, events: list[tuple[str, int, int]]) -> None:
    folder.mkdir(exist_ok=True)
    seconds = np.arange(1, 101, dtype=np.int32)
    label = np.zeros(100, np.uint8)
    for _, start, end in events:
        label[(seconds >= start) & (seconds <= end)] = 1
    x = np.column_stack([seconds, seconds]).astype(np.float32)
    features, text = np.array(["a", "b"]), np.array(json.dumps(events))
    np.savez(folder / f"{name}.npz", X=x, t=seconds, label=label, features=features, events=text)


def test_hpas_takes_every_tenth_row_and_its_events_by_kind(tmp_path: Path) -> None:
    write_hpas(tmp_path / "hpas", "Exa", [])
    write_hpas(tmp_path / "hpas", "Exa_CO_ML__overlaps__ST5", [("CO", 5, 40), ("ML", 20, 60)])
    write_hpas(tmp_path / "hpas", "Exa_CO__ST31_ET60", [("CO", 31, 60)])
    (case,) = hpas.runs_held_out(tmp_path, "test")
    (stream,) = case.streams
    assert [name.node for name in case.train.nodes] == ["Exa", "Exa_CO_ML__overlaps__ST5"]
    assert stream.table.x[:, 0].tolist() == list(range(1, 101, 10))
    (episode,) = stream.episodes
    assert (episode.kind, episode.start_ms - START_MS, episode.end_ms - START_MS) == ("CPU", 30_000, 59_000)
    rows = stream.table.time_ms[eks.labels(stream.table)]
    assert rows.min() >= episode.start_ms
    assert rows.max() <= episode.end_ms


def test_aks_totals_become_rates_and_a_fall_is_a_reset(tmp_path: Path) -> None:
    folder = tmp_path / "aks-node"
    folder.mkdir()
    for name in ("a", "b"):
        lines = [",".join(["id", "time", *FEATURES, "attack"])]
        for row, total in enumerate((3e11, 3e11 + 8, 20.0)):
            values = [str(total) if feature == "disk_write" else "1" for feature in FEATURES]
            lines.append(",".join([str(row), f"2023-08-27 20:14:{4 * row:02}", *values, "0"]))
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    case = aks.rates(tmp_path, "test")[0]
    column = case.train.features.index("disk_write")
    assert case.train.x[1:, column].tolist() == [2.0, 5.0]
    assert aks.totals(tmp_path, "test")[0].train.x[2, column] == 20
    assert aks.rates(tmp_path, "tuning") == []


def write_session(
    folder: Path, name: str, nodes: Sequence[str], episodes: list[tuple[str, float, str, int, int]]
) -> None:
    """Rows every 10 s for 1,000 s; an episode is kind, strength, node, start and end in seconds."""
    folder.mkdir(exist_ok=True)
    seconds = START_SECONDS + np.arange(0, 1000, 10)
    attack = np.zeros((len(nodes), 100), np.int8)
    for _, _, node, start, end in episodes:
        attack[nodes.index(node)] |= (seconds >= START_SECONDS + start) & (seconds <= START_SECONDS + end)
    rows = {"time": np.tile(seconds, len(nodes)) * 1000, "node": np.repeat(nodes, 100), "attack": attack.ravel()}
    rows |= {"load1": np.tile(np.arange(100.0), len(nodes)), "intr": np.zeros(100 * len(nodes))}
    pa.parquet.write_table(pa.table(rows), folder / f"session-{name}.parquet")
    lines = ["node,kind,strength,start_ms,end_ms,seed"]
    for kind, strength, node, start, end in episodes:
        lines.append(f"{node},{kind},{strength},{(START_SECONDS + start) * 1000},{(START_SECONDS + end) * 1000},1")
    (folder / f"session-{name}.episodes.csv").write_text("\n".join(lines) + "\n")


def test_our_scenarios_keep_nodes_and_strengths_apart(tmp_path: Path) -> None:
    attacks = [("cpu", 1.0, "n1", 100, 150), ("cpu", 2.0, "n1", 500, 550), ("cpu", 1.0, "n2", 100, 150)]
    attacks.append(("cpu", 2.0, "n2", 700, 740))
    write_session(tmp_path / "own", "1", ["n1", "n2"], attacks)
    (case,) = scenarios.own("test", tmp_path / "own")
    (stream,) = case.streams
    assert [name.node for name in case.train.nodes] == ["session-1/n1"]
    assert [name.node for name in stream.table.nodes] == ["session-1/n2"]
    assert [(episode.unseen, (episode.start_ms - START_MS) // 1000) for episode in stream.episodes] == [
        (True, 100),
        (False, 700),
    ]
    # Of the training node, strength 1.0 is gone with two minutes after it, and no gap tells of it.
    assert eks.labels(case.train).sum() == 6
    assert len(case.train) == 100 - 6 - 12
    assert np.diff(case.train.time_ms).tolist() == [10_000] * 81


def test_our_scenarios_tune_on_the_ends_of_the_training_nodes(tmp_path: Path) -> None:
    attacks = [("cpu", 1.0, "n1", 100, 150), ("cpu", 2.0, "n2", 100, 150)]
    write_session(tmp_path / "own", "1", ["n1", "n2"], attacks)
    (case,) = scenarios.own("tuning", tmp_path / "own")
    (stream,) = case.streams
    assert [name.node for name in stream.table.nodes] == ["session-1/n1"]
    assert np.flatnonzero(stream.views["all"]).tolist() == list(range(70, 100))
    assert case.train.x[:, 0].max() < 70


@pytest.mark.parametrize("part", ["tuning", "test"])
def test_the_sessions_that_ship_are_read(part: Part) -> None:
    (case,) = scenarios.own(part)
    (stream,) = case.streams
    assert set(stream.table.features) == set(FEATURES)
    assert len({episode.kind for episode in stream.episodes}) > 1
    if part == "test":
        assert not set(case.train.nodes) & set(stream.table.nodes)
        attacked = np.zeros(len(stream.table), bool)
        for episode in stream.episodes:
            inside = (stream.table.time_ms >= episode.start_ms) & (stream.table.time_ms <= episode.end_ms)
            attacked |= inside & (stream.table.node == episode.node)
        assert np.array_equal(attacked, eks.labels(stream.table))


def test_where_nothing_is_recorded_it_says_what_records(tmp_path: Path) -> None:
    with pytest.raises(scenarios.Missing, match="scenario record"):
        scenarios.own("test", tmp_path)


@pytest.mark.skipif("TEST_DATA" not in os.environ, reason="TEST_DATA names no folder with the data sets")
@pytest.mark.parametrize("name", [name for name, one in SETS.items() if one.needs_folder])
def test_the_real_data_is_read(name: str) -> None:
    for case in SETS[name].cases(Path(os.environ["TEST_DATA"]), "test"):
        assert len(case.train) > 1000
        for stream in case.streams:
            assert stream.table.features == case.train.features
            assert all(view.any() for view in stream.views.values())
