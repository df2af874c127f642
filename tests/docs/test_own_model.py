"""A model of one's own, by the commands of the pages: exported, trained, looked at, in the shadow, active, and back."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from receiver.catalogue import load
from receiver.detector import Detector
from receiver.registry import offer_shipped, opened, shipped_model
from receiver.settings import Settings
from tests.docs.conftest import Shell
from tests.docs.pages import block_with
from tests.models.nodes import START_MS, table
from tests.models.stored_rows import fill

DAY_MS = 86_400_000
SECONDS = 1800
# Before what the export leaves out, and within what the back-test looks at.
DAYS_AGO = (5, 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where `nodescore-data` has two quarters of an hour of three nodes, and the versions of a service that has run."""
    now_ms = int(time.time() * 1000)
    rows = table(nodes=3, seconds=SECONDS, step=5, seed=4)
    since_ms = rows.time_ms - START_MS
    days_ago = np.where(since_ms < SECONDS * 500, *DAYS_AGO)
    rows = replace(rows, time_ms=since_ms + now_ms - days_ago * DAY_MS)
    data_dir = fill(tmp_path / "nodescore-data", rows, Detector.load(shipped_model(), load().feature_names))
    with opened(Settings.model_validate({"data_dir": data_dir}), load()) as models:
        offer_shipped(models, load(), now_ms)
    return tmp_path


def test_a_model_of_ones_own_is_trained_tried_and_activated(folder: Path, shell: Shell) -> None:
    def says(text: str) -> str:
        done = shell(text, folder)
        assert done.returncode == 0, text + done.stdout
        return done.stdout

    commands = block_with("back-test.md", "--false-alerts-per-node-day").text
    assert set(block_with("false-alarms.md", "--false-alerts-per-node-day").text.splitlines()) <= set(
        commands.splitlines()
    )
    assert "alerts" in says(commands)
    assert all((folder / name).stat().st_size > 0 for name in ("own.png", "present.png"))
    add, shadow, activate = block_with("false-alarms.md", "models add own.onnx").text.splitlines()
    version = says(add).split()[0]
    assert "in the shadow" in says(shadow.replace("VERSION", version))
    assert "is active" in says(activate.replace("VERSION", version))
    assert version not in says("nodescore models rollback").split()[0]
