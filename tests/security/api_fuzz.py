"""schemathesis asks a real service, over the network, all that its OpenAPI description allows, and much more.

The service is `nodescore serve` with a node that is scored and a token with every role; each answer must be one that is
described, in the form that is described, never a 5xx other than 503, and 401 without the token.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from tests.security.api_hooks import NODE
from tests.servers.nodescore import SOURCE, Nodescore
from tests.servers.process import wait_until
from tests.wire.requests import V1_HEADERS, body, series

TOKEN = "0123456789abcdef0123456789abcdef"
WEB_CONFIG = "nodescore: {bearer_tokens: {fuzz: {environment: FUZZ_TOKEN}}}"
# The gate answers 401 or 403, not 405, to a method that a path does not have, so that it tells strangers nothing. And
# what a schema allows need not make sense: a time may lie in the future, a node may not be there.
UNCHECKED = ("unsupported_method", "positive_data_acceptance")


class Asked(Nodescore):
    """A service that needs a token for all but its health."""

    def __init__(self, folder: Path) -> None:
        file = folder / "web.yml"
        file.write_text(WEB_CONFIG)
        super().__init__(folder, [f"--web-config={file}"], environment={"FUZZ_TOKEN": TOKEN})

    def ask(self, path: str, data: bytes | None = None, **headers: str) -> bytes:
        """What it answers who has the token."""
        headers = {**headers, "Authorization": f"Bearer {TOKEN}"}
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data, headers)) as answer:
            return bytes(answer.read())

    def send_node(self) -> None:
        """Have it score a node's last minutes."""
        now_ms = time.time_ns() // 1_000_000
        for step in range(12, -1, -1):
            at_ms = now_ms - step * 10_000
            loads = [series(f"node_load{m}", 1.0, at_ms, node=NODE) for m in (1, 5, 15)]
            self.ask("/api/v1/write", body(1, loads), **V1_HEADERS)
        wait_until(lambda: f'"node":"{NODE}"'.encode() in self.ask("/api/v1/nodes"), "a score")


def fuzz(service: Asked, folder: Path, options: Sequence[str]) -> str:
    """What schemathesis says; raises `AssertionError` with all of it where it has found something."""
    line = [sys.executable, "-m", "schemathesis.cli", "run", f"{service.url}/openapi.json", "--no-color"]
    line += [f"--header=Authorization: Bearer {TOKEN}", f"--exclude-checks={','.join(UNCHECKED)}"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "SCHEMATHESIS_HOOKS": "tests.security.api_hooks"}
    done = subprocess.run([*line, *options], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"{done.stdout}\n{done.stderr}\n{service.tail()}")
    return done.stdout
