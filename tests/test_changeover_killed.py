"""A service killed while another model takes over: one of both whole models goes on, and knows every row once."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from receiver import registry
from receiver.follower import Follower
from receiver.learner import Learner
from receiver.pipeline import Pipeline
from receiver.service import Service
from receiver.settings import Settings
from tests import counting_model
from tests.running import CATALOGUE
from tests.servers.process import wait_until
from tests.wire.requests import HEADERS, body, series

OFFSETS = {"low": 0.0, "high": 1000.0}
NODES = ("a:9100", "b:9100")
ROWS = 6  # of each node before the kill, and again after it
MOMENTS: dict[str, tuple[type, str]] = {
    "while it learns": (Learner, "step"),
    "when it has taken over": (Pipeline, "go_on_with"),
    "when its copy is kept": (Follower, "taken"),
}


def settings_of(folder: Path) -> Settings:
    return Settings.model_validate({"data_dir": folder / "data", "assembly_deadline_seconds": 0.2})


@contextmanager
def serving(folder: Path) -> Iterator[Service]:
    chosen = settings_of(folder)
    follower = Follower(chosen, CATALOGUE)
    service = Service(chosen, CATALOGUE, follower.first(time.time_ns() // 1_000_000), follower)
    service.start()
    try:
        yield service
    finally:
        service.stop()


def write(service: Service, time_ms: int) -> None:
    """A row of each node, acknowledged."""
    rows = [series("node_load1", 1.0, time_ms, instance=node) for node in NODES]
    asyncio.run(service.worker.write(body(1, rows), HEADERS[1]))


def serve_and_die(folder: Path, moment: str, begin_ms: int) -> None:
    """Score with the one model, go on with the other, and be killed at this moment, with a row that waits."""
    owner, name = MOMENTS[moment]
    done: Callable[..., Any] = getattr(owner, name)

    def last(*given: Any) -> None:
        done(*given)
        os.kill(os.getpid(), signal.SIGKILL)

    with serving(folder) as service:
        for place in range(ROWS - 1):
            write(service, begin_ms + 1000 * place)
        wait_until(lambda: len(scores(folder)) == len(NODES) * (ROWS - 1), "the scores are stored")
        setattr(owner, name, last)
        write(service, begin_ms + 1000 * (ROWS - 1))
        service.activate_model("high", "ann", "")
        threading.Event().wait(60)  # to be killed


def scores(folder: Path) -> list[tuple[str, int, str, float]]:
    """(node, time, version, score), by node and time."""
    with closing(sqlite3.connect(f"{settings_of(folder).embedded_path.as_uri()}?mode=ro", uri=True)) as file:
        return file.execute(
            "SELECT n.name, s.time_ms, m.version, s.score FROM node_scores s JOIN nodes n ON n.id = s.node "
            "JOIN models m ON m.id = s.model ORDER BY n.name, s.time_ms"
        ).fetchall()


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_while_another_model_takes_over_a_service_goes_on_with_every_row_known_once(
    tmp_path: Path, moment: str
) -> None:
    begin_ms = time.time_ns() // 1_000_000 - 60_000
    with registry.opened(settings_of(tmp_path), CATALOGUE) as store:
        for version, offset in OFFSETS.items():
            model = counting_model.write(tmp_path / f"{version}.onnx", CATALOGUE, version, offset=offset)
            registry.publish(store, CATALOGUE, model.read_bytes(), begin_ms, name=model)
        registry.activate(store, CATALOGUE, "low", by="ann", reason="", now_ms=begin_ms)
    process = multiprocessing.get_context("spawn").Process(target=serve_and_die, args=(tmp_path, moment, begin_ms))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    with serving(tmp_path) as service:
        for place in range(ROWS, 2 * ROWS):
            write(service, begin_ms + 1000 * place)
        wait_until(lambda: len(scores(tmp_path)) == len(NODES) * 2 * ROWS, "the scores are stored")
    found = scores(tmp_path)
    assert [(node, time_ms) for node, time_ms, _, _ in found] == [
        (node, begin_ms + 1000 * place) for node in NODES for place in range(2 * ROWS)
    ]
    counted = [score - OFFSETS[version] for _, _, version, score in found]
    assert counted == pytest.approx([(place + 1) / 100 for _ in NODES for place in range(2 * ROWS)], abs=0.001)
    assert found[-1][2] == "high"
