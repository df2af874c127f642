"""A service as the documentation tells to run it, with two nodes in it, and a shell to run what the pages say."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import snappy

from receiver.cli.demo import _shipped
from receiver.cli.recording import Recorded, Sender, read
from receiver.cli.replay import delta_of, moved
from receiver.wire import remote_write_v2_pb2 as v2_pb2
from tests.docs.pages import ROOT
from tests.servers.nodescore import Nodescore
from tests.servers.process import wait_until

Shell = Callable[[str, Path], "subprocess.CompletedProcess[str]"]
# The address that stands for a reader's own, and the one that a service listens on by itself.
ADDRESSES = ("nodescore.example:9201", "127.0.0.1:9201")
RECORDED_NODE = "node-0"
# As the examples call it.
NODE = "worker-1"
# What a command may read of a checkout.
CHECKOUT = ("receiver", "models", "manifests")


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the command `nodescore`, for the PATH."""
    folder = tmp_path_factory.mktemp("bin")
    script = folder / "nodescore"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m receiver "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    return folder


@pytest.fixture(scope="session")
def shell(commands: Path) -> Shell:
    """Run a block as its reader would, in a folder that looks like a checkout."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("NODESCORE_")}
    environment = {
        **ours,
        "PATH": f"{commands}:{ours['PATH']}",
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "120",
    }

    def run(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
        for name in CHECKOUT:
            if not (folder / name).exists():
                (folder / name).symlink_to(ROOT / name)
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodescore]:
    """One that has scored the recording of the demo just now, on a node of the examples' name."""
    service = Nodescore(tmp_path_factory.mktemp("docs"))
    service.start()
    try:
        send_recording(service)
        wait_until(lambda: f'anomaly_score{{cluster="",node="{NODE}"}}' in service.metrics(), "a score")
        yield service
    finally:
        service.stop()


def send_recording(service: Nodescore, end_ms: float | None = None) -> None:
    """The shipped recording, as if it had ended then; without a time, now."""
    requests = [renamed(request) for request in read(_shipped())]
    delta_ms = delta_of(requests, time.time() * 1000 if end_ms is None else end_ms, 0)
    with closing(Sender(f"{service.url}/api/v1/write")) as sender:
        for request in requests:
            assert sender.send(request.headers, moved(request, delta_ms)).status == 204


def renamed(request: Recorded) -> Recorded:
    """The same request of a node of the examples' name."""
    message = v2_pb2.Request.FromString(snappy.uncompress(request.body))
    message.symbols[:] = [NODE if symbol == RECORDED_NODE else symbol for symbol in message.symbols]
    return replace(request, body=snappy.compress(message.SerializeToString()))


def addressed(text: str, address: str) -> str:
    """A block with the address of a running service in it."""
    for one in ADDRESSES:
        text = text.replace(one, address)
    return text
