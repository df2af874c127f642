"""What needs a real Prometheus and node_exporter: the live demo, and recording."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from models.scenarios.record import main as record
from receiver.cli.processes import free_port
from receiver.cli.recording import read
from receiver.wire.body import decompress
from receiver.wire.remote_write_v2_pb2 import Request
from tests.cli import busy_model
from tests.servers import places

pytestmark = pytest.mark.real("prometheus", "node_exporter")


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH on which the programs have the names they have on Debian."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, found in (("prometheus", "prometheus"), ("prometheus-node-exporter", "node_exporter")):
        (folder / name).symlink_to(places.path_of(found))
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def test_the_live_demo_scores_this_machine(tmp_path: Path, path: str) -> None:
    model = busy_model.write(tmp_path / "busy.onnx")
    command = [sys.executable, "-m", "receiver", "demo", "--live", "--duration", "25", "--model", str(model)]
    done = subprocess.run(
        [*command, "--port", str(free_port())],
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "this-machine score 0." in done.stdout or "this-machine score 1." in done.stdout


def test_a_recording_holds_every_scrape_of_the_catalogue_and_says_when_the_attack_was(
    tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", path)
    out = tmp_path / "r.jsonl.gz"
    times = ("--scrape-seconds", "1", "--before-seconds", "8", "--after-seconds", "3")
    record([str(out), "--node", "n", *times, "--", "sleep", "2"])
    assert capsys.readouterr().out.startswith(f"{out}: ")
    requests = read(out)
    assert [request.event for request in requests if request.event] == ["sleep 2 begins", "sleep 2 ends"]
    scrapes: set[int] = set()
    for request in requests:
        message = Request()
        message.ParseFromString(decompress(request.body))
        scrapes |= {sample.timestamp for series in message.timeseries for sample in series.samples}
    assert len(scrapes) >= 8
