"""The command, whole, on a small set that is made up."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.detection.__main__ import main
from models.detectors import DETECTORS, NEED_LABELS
from receiver.errors import DataError
from tests.models.nodes import table

ROWS = 400


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two servers of noise, with a jump of two metrics for 15 rows of the test part."""
    random = np.random.default_rng(5)
    (tmp_path / "data" / "asd").mkdir(parents=True)
    for number in (1, 2):
        train, test = random.normal(size=(2, ROWS, 3)).astype(np.float32)
        label = np.zeros(ROWS, np.uint8)
        label[300:315] = 1
        test[300:315, :2] += 40
        np.savez(tmp_path / "data" / "asd" / f"omi-{number}.npz", train=train, test=test, label=label)
    return tmp_path


def arguments(folder: Path, out: str) -> list[str]:
    return [
        "--data",
        str(folder / "data"),
        "--sets",
        "asd",
        "--detectors",
        "zscore",
        "mean_z2",
        "--out",
        str(folder / out),
    ]


def test_it_writes_figures_tables_and_curves_the_same_every_time(folder: Path) -> None:
    for out in ("a", "b"):
        main(arguments(folder, out))
    names = {path.name for path in (folder / "a").iterdir()}
    assert names == {
        "scores",
        "figures-test.json",
        "tables-test.md",
        "curves-test-asd-all.png",
        "curves-test-asd-untouched-by-tuning.png",
    }
    for name in names - {"scores", "figures-test.json"}:  # the figures hold how long training took
        assert (folder / "a" / name).read_bytes() == (folder / "b" / name).read_bytes()


def test_a_detector_stands_between_random_and_perfect(folder: Path) -> None:
    main(arguments(folder, "a"))
    figures = json.loads((folder / "a" / "figures-test.json").read_text())
    by_detector = figures["asd"]["views"]["all"]["detectors"]
    assert list(by_detector) == ["random", "zscore", "mean_z2", "perfect"]
    ranked = [by_detector[name]["auc_pr"] for name in ("random", "mean_z2", "perfect")]
    assert ranked[0] < 0.2 < 0.8 < ranked[1] <= ranked[2] == 1.0
    assert by_detector["perfect"]["false_alerts"] == 0
    assert by_detector["perfect"]["event_recall_open"] == 1.0
    text = (folder / "a" / "tables-test.md").read_text()
    assert "| random |" in text
    assert "mean_z2 − zscore" in text


def test_a_second_run_takes_the_scores_that_are_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(arguments(folder, "a"))
    kept = folder / "a" / "scores" / "test" / "asd" / "omi-1.mean_z2.npz"
    before = kept.stat().st_mtime_ns
    main(arguments(folder, "a"))
    assert kept.stat().st_mtime_ns == before
    assert "asd 8/8: perfect, omi-2" in capsys.readouterr().err


def test_detectors_that_need_labels_are_left_out_where_there_are_none_and_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--data", str(folder / "data"), "--sets", "asd", "--detectors", "zscore", "mlp", "--out", str(folder / "a")])
    figures = json.loads((folder / "a" / "figures-test.json").read_text())
    assert list(figures["asd"]["views"]["all"]["detectors"]) == ["random", "zscore", "perfect"]
    assert "asd: without mlp: they need labels" in capsys.readouterr().err


def test_the_detectors_that_need_labels_are_those_that_refuse_rows_without() -> None:
    rows = table(nodes=3, seconds=3600, step=10)
    refused = set()
    for name, fit in DETECTORS.items():
        try:
            fit(rows)
        except DataError:
            refused.add(name)
    assert refused == NEED_LABELS


def test_without_a_folder_sets_that_need_one_are_left_out_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--sets", "smd", "hpas", "--out", str(tmp_path)])
    assert "smd: left out, it needs --data" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.png"))


def test_a_folder_that_lacks_a_set_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="smd: no machine-"):
        main(["--data", str(tmp_path), "--sets", "smd", "--out", str(tmp_path / "out")])
