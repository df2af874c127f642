"""`nodescore train`, `score`, `evaluate` on a table of one's own."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.detectors import DETECTORS
from tests.cli import busy_model
from tests.cli.conftest import Nodescore


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Ten hours of two nodes a minute apart; in the last hour of each, an attack of ten minutes."""
    random = np.random.default_rng(3)
    path = tmp_path / "table.csv"
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["time", "node", "load", "packets", "attack"])
        for minute in range(600):
            for node in ("a", "b"):
                attack = 550 <= minute < 560
                load, packets = random.normal(1.0, 0.1) + 5 * attack, random.normal(50, 5)
                out.writerow([1_795_000_000 + 60 * minute, node, f"{load:.4f}", f"{packets:.3f}", int(attack)])
    return path


def test_a_model_is_trained_scores_and_is_measured(nodescore: Nodescore, table: Path, tmp_path: Path) -> None:
    trained = nodescore("train", "--data", table, "--out", "m.onnx", "--detector", "zscore")
    assert trained.status == 0
    assert trained.out.startswith("m.onnx: zscore zscore-")
    assert (tmp_path / "m.json").exists()

    scored = nodescore("score", "--data", table, "--model", "m.onnx", "--out", "scores.csv")
    assert scored.out == "scores.csv: 1200 rows\n"
    rows = list(csv.DictReader((tmp_path / "scores.csv").read_text().splitlines()))
    given = list(csv.DictReader(table.read_text().splitlines()))
    assert [(row["time"], row["node"]) for row in rows] == [(row["time"], row["node"]) for row in given]

    measured = nodescore("evaluate", "--data", table, "--model", "m.onnx", "--json")
    figures = json.loads(measured.out)
    assert (figures["rows"], figures["attack_rows"], figures["events"]) == (1200, 20, 2)
    assert "auc pr" in nodescore("evaluate", "--data", table, "--model", "m.onnx").out


def test_the_accuracy_objective_is_another_threshold_than_the_budget(nodescore: Nodescore, table: Path) -> None:
    both = ("--objective", "accuracy", "--false-alerts-per-node-day", "1")
    done = nodescore("train", "--data", table, "--out", "m.onnx", *both)
    assert (done.status, done.err) == (
        2,
        "nodescore: --false-alerts-per-node-day and --objective accuracy are two thresholds; say one\n",
    )


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["train", "--data", "none.csv", "--out", "m.onnx"], "none.csv: cannot be read as CSV"),
        (["train", "--data", "table.csv", "--out", "m.onnx", "--detector", "magic"], "no detector magic; there are: "),
        (
            ["score", "--data", "table.csv", "--model", "no.onnx", "--out", "s.csv"],
            "model no.onnx: cannot be read: No such file or directory",
        ),
        (["evaluate", "--data", "table.csv", "--model", "table.csv"], "model table.csv: is not an ONNX file"),
    ],
)
def test_what_cannot_be_done_says_why_in_one_line(
    nodescore: Nodescore, table: Path, arguments: list[str], line: str
) -> None:
    assert table.name == "table.csv"
    done = nodescore(*arguments)
    assert done.status == 2
    assert done.err.startswith(f"nodescore: {line}")
    assert done.err.count("\n") == 1


def test_a_model_of_other_features_is_refused(nodescore: Nodescore, table: Path, tmp_path: Path) -> None:
    busy_model.write(tmp_path / "busy.onnx")
    done = nodescore("score", "--data", table, "--model", "busy.onnx", "--out", "s.csv")
    assert done.status == 2
    assert "cpu_sec_idle" in done.err


def test_the_help_names_every_detector(nodescore: Nodescore) -> None:
    words = nodescore("train", "--help").out.translate({ord(mark): " " for mark in ",;.│[]:"}).split()
    assert set(DETECTORS) <= set(words)


def test_without_a_model_the_one_of_the_catalogue_is_taken(
    nodescore: Nodescore, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODESCORE_CATALOGUE", "application")
    for command in (["score", "--out", "s.csv"], ["evaluate"]):
        done = nodescore(*command, "--data", table)
        assert done.status == 2
        assert "cpu_throttled" in done.err


def test_without_the_extra_the_line_says_what_to_install(table: Path, tmp_path: Path) -> None:
    # A module that cannot be found, in a process of its own: what an installation without the extra looks like.
    program = (
        "import sys; sys.modules['pyarrow'] = None; from receiver.cli import main; "
        f"main(['train', '--data', {str(table)!r}, '--out', {str(tmp_path / 'm.onnx')!r}])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("nodescore: this command needs the extra: pip install 'nodescore[train]'")
