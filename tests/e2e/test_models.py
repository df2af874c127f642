"""Which model scores: two replicas over one TimescaleDB, told by command, API and page, also while it is away."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import httpx
import pytest

from tests import counting_model
from tests.e2e.chain import CATALOGUE
from tests.servers.browser import running_chromium
from tests.servers.nodescore import SOURCE, Nodescore
from tests.servers.process import Runner, wait_until
from tests.servers.timescale import TimescaleServer, empty_database
from tests.wire.requests import HEADERS, body, series

FOLLOW_SECONDS = 10


def active(replica: Nodescore) -> str:
    """The version that a replica scores with."""
    found = re.findall(r'^anomaly_model_info\{.*version="([^"]+)"\} 1\.0$', replica.metrics(), re.MULTILINE)
    assert len(found) == 1
    return str(found[0])


def post(replica: Nodescore, path: str) -> str:
    request = urllib.request.Request(
        f"{replica.url}/api/v1/models/{path}", b'{"by": "ann"}', {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        return str(json.loads(answer.read())["version"])


def command(dsn: str, *arguments: object) -> str:
    """Run `nodescore models`, a process of its own."""
    line = [sys.executable, "-m", "receiver", "models", *map(str, arguments), f"--store={dsn}"]
    return subprocess.run(line, cwd=SOURCE, check=True, capture_output=True, text=True).stdout


def roll_back_by_page(replica: Nodescore) -> None:
    """What an administrator clicks."""
    with running_chromium() as browser:
        page = browser.new_page()
        page.goto(f"{replica.url}/models")
        page.get_by_role("link", name="Roll back to").click()
        page.get_by_label("Your name").fill("Bea")
        page.get_by_role("button", name="Roll back").click()
        page.get_by_role("row", name="rolled back Bea").wait_for()


@pytest.mark.real("timescale", "chromium")
def test_replicas_follow_what_is_activated_and_rolled_back_by_command_api_and_page(
    run_server: Runner, timescale_dsn: str, tmp_path: Path
) -> None:
    flags = [f"--store={timescale_dsn}"]
    replicas = [run_server(Nodescore(tmp_path, flags, name)) for name in ("replica-0", "replica-1")]
    shipped = active(replicas[0])

    def followed(version: str) -> None:
        wait_until(lambda: [active(one) for one in replicas] == [version] * 2, f"{version} in use", FOLLOW_SECONDS)

    for version in ("v1", "v2"):
        command(timescale_dsn, "add", counting_model.write(tmp_path / f"{version}.onnx", CATALOGUE, version))
    command(timescale_dsn, "activate", "v1")
    followed("v1")
    assert post(replicas[0], "v2/activate") == "v2"
    followed("v2")
    assert post(replicas[1], "rollback") == "v1"
    followed("v1")
    command(timescale_dsn, "activate", "v2")
    followed("v2")
    roll_back_by_page(replicas[0])
    followed("v1")
    command(timescale_dsn, "rollback")
    followed(shipped)
    listed = [line.split()[:2] for line in command(timescale_dsn, "list").splitlines()]
    assert listed == [[shipped, "active"], ["v1", "retired"], ["v2", "retired"]]


@pytest.mark.real("timescale")
def test_replicas_follow_what_scores_in_the_shadow_and_whose_alerts_are_muted(
    run_server: Runner, timescale_dsn: str, tmp_path: Path
) -> None:
    flags = [f"--store={timescale_dsn}"]
    replicas = [run_server(Nodescore(tmp_path, flags, name)) for name in ("replica-0", "replica-1")]
    now_ms = int(time.time() * 1000)
    for replica, node in zip(replicas, "ab", strict=True):
        sample = body(2, [series("node_load1", 1.0, now_ms, instance=node)])
        httpx.post(f"{replica.url}/api/v1/write", content=sample, headers=HEADERS[2]).raise_for_status()

    def followed(*wanted: str) -> None:
        wait_until(
            lambda: all(text in one.metrics() for one, text in zip(replicas, wanted, strict=True)),
            f"{wanted} on both",
            FOLLOW_SECONDS,
        )

    followed('node="a"} ', 'node="b"} ')
    command(timescale_dsn, "add", counting_model.write(tmp_path / "v1.onnx", CATALOGUE, "v1", offset=7.0))
    command(timescale_dsn, "shadow", "v1")
    followed(*(f'anomaly_shadow_score{{cluster="",model="v1",node="{node}"}} 7.01' for node in "ab"))
    assert [active(one) for one in replicas] != ["v1"] * 2
    assert post(replicas[0], "v1/shadow/end") == ""
    wait_until(lambda: not any("anomaly_shadow_score{" in one.metrics() for one in replicas), "none", FOLLOW_SECONDS)

    said = {"node": "a", "duration": "1h", "author": "ann"}
    httpx.post(f"{replicas[0].url}/api/v1/mutes", json=said).raise_for_status()
    followed(*['anomaly_muted_until_timestamp_seconds{cluster="",node="a"} '] * 2)
    httpx.post(f"{replicas[1].url}/api/v1/mutes/end", json={"node": "a", "author": "bob"}).raise_for_status()
    wait_until(lambda: not any("anomaly_muted_until_timestamp_seconds{" in one.metrics() for one in replicas), "none")


@pytest.mark.real("timescale")
def test_the_model_in_use_survives_a_restart_while_the_database_is_away(
    run_server: Runner, timescale: TimescaleServer, tmp_path: Path
) -> None:
    with empty_database(timescale) as dsn:
        replica = run_server(Nodescore(tmp_path, [f"--store={dsn}"]))
        for version in ("v1", "v2"):
            command(dsn, "add", counting_model.write(tmp_path / f"{version}.onnx", CATALOGUE, version))
        command(dsn, "activate", "v1")
        wait_until(lambda: active(replica) == "v1", "v1 in use", FOLLOW_SECONDS)
        timescale.stop()
        try:
            replica.restart()
            assert active(replica) == "v1"
            ready = wait_until(lambda: _model_line(replica, "degraded"), "the status to say so")
            assert "v1 stays in use: TimescaleDB: " in ready
        finally:
            timescale.start()
        command(dsn, "activate", "v2")
        wait_until(lambda: active(replica) == "v2", "v2 in use", FOLLOW_SECONDS)
        wait_until(lambda: _model_line(replica, "ok"), "the status to be well again")


def _model_line(replica: Nodescore, state: str) -> str:
    with urllib.request.urlopen(f"{replica.url}/-/ready") as answer:
        lines = answer.read().decode().splitlines()
    return next((line for line in lines if line.startswith(f"model: {state}: ")), "")
