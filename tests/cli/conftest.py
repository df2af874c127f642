from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from receiver.catalogue import load
from receiver.cli import main
from receiver.columns import NodeName, Rows, Scores
from receiver.store import Finished, NewSeries
from receiver.store.embedded import EmbeddedStore

FEATURES = load().feature_names
START_MS = 1_795_161_600_000  # 2026-11-20T08:00:00Z
STEP_MS = 10_000
NODES = {0: NodeName("", "worker-1"), 1: NodeName("", "worker-2")}


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    status: int
    out: str
    err: str


Nodescore = Callable[..., Outcome]


@pytest.fixture
def nodescore(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Outcome]:
    """Run a command line in this process, in a folder of its own and without the caller's settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("NODESCORE_CONFIG", raising=False)

    def run(*arguments: object) -> Outcome:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        code = ended.value.code
        return Outcome(0 if code is None else int(code), captured.out, captured.err)

    return run


def fill(folder: Path, rows: int = 6, nodes: dict[int, NodeName] = NODES) -> Path:
    """A data folder whose store has a row of each node every ten seconds; feature f of node n in row r is
    1000 n + r + f / 100, and the second feature of the first row is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    store = EmbeddedStore.open(folder / "nodescore.sqlite", load())
    node = np.tile(np.array(list(nodes), np.int32), rows)
    row = np.repeat(np.arange(rows), len(nodes))
    raw = 1000.0 * node[:, None] + row[:, None] + np.arange(len(FEATURES)) / 100
    raw[0, 1] = np.nan
    x = raw.astype(np.float32)
    time_ms = START_MS + STEP_MS * row.astype(np.int64)
    store.append([], [NewSeries(0, (("__name__", "up"),))], nodes)
    scores = Scores(node, time_ms, np.full(len(node), 0.5, np.float32), x, np.full_like(x, np.nan))
    store.write(Finished(Rows(node, time_ms, raw, x), Rows.empty(len(FEATURES)), scores, "m", 0))
    store.close()
    return folder


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data folder with six rows of two nodes."""
    return fill(tmp_path / "data")
