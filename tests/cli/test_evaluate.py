"""`nodescore evaluate`: the back-test of a store, and the same of a table."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.table import Table
from receiver.catalogue import load
from receiver.detector import Detector
from receiver.registry import shipped_model
from receiver.web.instants import format_instant
from tests.cli.conftest import Nodescore
from tests.models.nodes import START_MS, table
from tests.models.stored_rows import fill

SECONDS = 1800
ATTACK_SECONDS = (1200, 1320)


def recent() -> Table:
    """Three nodes, attacked in the half hour that ended an hour ago."""
    rows = table(nodes=3, seconds=SECONDS, step=5, seed=4, attack=ATTACK_SECONDS)
    begin_ms = (int(time.time()) - 3600 - SECONDS) * 1000
    return replace(rows, time_ms=rows.time_ms - START_MS + begin_ms)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    detector = Detector.load(shipped_model(), load().feature_names)
    return fill(tmp_path_factory.mktemp("data"), recent(), detector)


@pytest.fixture
def labelled(nodescore: Nodescore, tmp_path: Path) -> Path:
    """A data folder of its own whose attacks are labelled on two nodes, and whose third is called normal."""
    rows = recent()
    folder = fill(tmp_path / "data", rows, Detector.load(shipped_model(), load().feature_names))
    start, end = (format_instant(int(rows.time_ms[0]) + 1000 * second) for second in ATTACK_SECONDS)
    for node, said in (("node-0", "--attack"), ("node-1", "--attack"), ("node-2", "--normal")):
        done = nodescore("label", "--data-dir", folder, "--node", node, "--start", start, "--end", end, said)
        assert done.status == 0
    return folder


def test_the_last_days_of_the_store_are_held_against_its_labels(nodescore: Nodescore, labelled: Path) -> None:
    done = nodescore("evaluate", "--data-dir", labelled, "--json")
    assert (done.status, done.err) == (0, "")
    found = json.loads(done.out)
    assert (found["rows"], found["nodes"], found["events"]) == (1080, 3, 2)
    assert found["node_days"] == pytest.approx(3 * SECONDS / 86400, rel=0.01)
    assert found["event_recall_raised_60s"] == 1.0
    assert (found["alerts_on_attacks"], found["alerts_on_labelled_normal"], found["false_alerts"]) == (2, 1, 1)
    assert found["asked_false_alerts_per_node_day"] == 0.1
    assert found["per_node"][0]["node"] == "node-2"
    assert "cpu_sec_idle" in found["features_of_alerts"]


def test_the_report_says_what_an_operator_asks(nodescore: Nodescore, labelled: Path) -> None:
    out = nodescore("evaluate", "--data-dir", labelled).out
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert any(line.startswith("1080 rows of 3 nodes, 0.0623 node-days") for line in lines)
    assert any(line.startswith("alerts 3; 48.1 a node-day (≤ 124)") for line in lines)
    assert "on time labelled normal 1" in lines
    assert any(line.startswith("alert raised in them 1.000") for line in lines)
    assert any(line.startswith("realised ÷ asked for") for line in lines)
    assert any(line.startswith("node-2 0.0208 1 1 0 0") for line in lines)
    assert any(line.startswith("node-2") and " normal " in line and "cpu_sec_idle" in line for line in lines)
    assert max(map(len, out.splitlines())) <= 160


def test_a_store_says_the_same_as_a_table_that_is_exported_from_it(nodescore: Nodescore, labelled: Path) -> None:
    nodescore("export", "rows.csv", "--inputs", "--data-dir", labelled)
    of_store, of_table = (
        json.loads(nodescore("evaluate", *source, "--json").out)
        for source in (("--data-dir", labelled), ("--data", "rows.csv"))
    )
    # A table has no column for time that is called normal.
    for name in ("alerts_on_labelled_normal", "alerts_without_label", "each_alert"):
        del of_store[name], of_table[name]
    assert of_store == of_table


def test_the_picture_is_drawn(nodescore: Nodescore, data_dir: Path, tmp_path: Path) -> None:
    assert nodescore("evaluate", "--data-dir", data_dir, "--picture", "week.png").status == 0
    assert (tmp_path / "week.png").read_bytes().startswith(b"\x89PNG")


def test_days_choose_how_far_back_rows_are_read(nodescore: Nodescore, data_dir: Path) -> None:
    some = json.loads(nodescore("evaluate", "--data-dir", data_dir, "--days", "0.05", "--json").out)
    assert 0 < some["rows"] < 1080


def test_the_model_is_the_one_that_the_service_would_use(
    nodescore: Nodescore, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodescore("export", "rows.csv", "--inputs", "--data-dir", data_dir)
    assert nodescore("train", "--data", "rows.csv", "--out", "own.onnx", "--detector", "zscore").status == 0
    monkeypatch.setenv("NODESCORE_MODEL", str(tmp_path / "own.onnx"))
    assert json.loads(nodescore("evaluate", "--data-dir", data_dir, "--json").out)["detector"] == "zscore"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--data", "a.csv", "--days", "3"], "--data is one source of rows; --days, --data-dir and --store name"),
        (["--data", "a.csv", "--data-dir", "d"], "--data is one source of rows; --days, --data-dir and --store name"),
        (["--days", "0"], "--days: must be more than 0"),
        (["--days", "inf"], "--days: must be more than 0, and 36,500 at most"),
        (["--days", "nan"], "--days: must be more than 0"),
        (["--days", "0.0001"], "the store has no scored row since "),
        (["--model", "no.onnx"], "model no.onnx: cannot be read: No such file or directory"),
        (["--picture", "no/p.png"], "no/p.png: cannot be written: No such file or directory"),
    ],
)
def test_what_cannot_be_done_says_why_in_one_line(
    nodescore: Nodescore, data_dir: Path, arguments: list[str], line: str
) -> None:
    given = [] if "--data" in arguments else ["--data-dir", str(data_dir)]
    done = nodescore("evaluate", *arguments, *given)
    assert done.status == 2
    assert done.err.startswith(f"nodescore: {line}")
    assert done.err.count("\n") == 1


def test_without_the_extra_the_line_says_what_to_install(data_dir: Path) -> None:
    # A module that cannot be found, in a process of its own: what an installation without the extra looks like.
    program = (
        "import sys; sys.modules['matplotlib'] = None; from receiver.cli import main; "
        f"main(['evaluate', '--data-dir', {str(data_dir)!r}, '--picture', 'p.png'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("nodescore: this command needs the extra: pip install 'nodescore[train]'")


def test_a_table_whose_rows_are_all_attacks_has_figures(nodescore: Nodescore, tmp_path: Path) -> None:
    rows = table(nodes=1, seconds=300)
    head = ",".join(["time", *rows.features, "attack"])
    lines = [",".join(map(str, [*np.round(row, 4), 1])) for row in rows.x]
    text = [f"{1_795_000_000 + 5 * index},{line}" for index, line in enumerate(lines)]
    (tmp_path / "all.csv").write_text("\n".join([head, *text]))
    done = nodescore("evaluate", "--data", "all.csv", "--picture", "all.png")
    assert (done.status, done.err) == (0, "")
    assert "labelled attacks" in done.out
    assert "false alerts" not in done.out
