"""`nodescore demo`, whole: a service, the shipped recording, an alarm."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from receiver.cli.processes import free_port

DEMO = [sys.executable, "-m", "receiver", "demo"]
Demo = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def demo() -> Demo:
    def start(*arguments: str) -> "subprocess.Popen[str]":
        command = [*DEMO, "--port", str(free_port()), *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return start


def test_within_a_minute_the_attack_shows_and_the_end_says_what_was_seen(demo: Demo) -> None:
    with demo("--duration", "45") as process:
        out, err = process.communicate(timeout=90)
    lines = out.splitlines()
    assert (process.returncode, err) == (0, "")
    assert lines[0].startswith("The page: http://127.0.0.1:")
    passed = [line for line in lines if "node-0 passed 1.0" in line]
    assert "after “cpu stress begins”: Idle time of all CPUs " in passed[0]
    assert "; highest score " in passed[-1]
    assert [line.split()[0] for line in lines[-3:]] == ["Next:", "put", "then"]


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_a_request_to_end_or_a_closed_terminal_ends_it_cleanly(demo: Demo, end: signal.Signals) -> None:
    with demo() as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(end)
        out, err = process.communicate(timeout=60)
    assert first.startswith("The page:")
    assert (process.returncode, err) == (0, "")
    assert "Next: run `nodescore serve`" in out


def test_a_service_that_does_not_start_is_told_with_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "none.onnx").write_bytes(b"no model")
    command = [*DEMO, "--model", str(tmp_path / "none.onnx"), "--port", str(free_port())]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("nodescore: the service ended with status 2: ")
    assert "nodescore: model" in ended.stderr
    assert ended.stderr.count("\n") == 1
