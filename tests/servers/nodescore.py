"""Nodescore itself as users run it: the command `nodescore serve`, a process of its own."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from receiver.cli.processes import free_port
from tests.servers.process import Process
from tests.servers.prometheus import answers, fetch

SOURCE = Path(__file__).parents[2]


class Nodescore(Process):
    """A service on a data folder that outlives `restart` and `kill`; no NODESCORE_ variable of the caller counts."""

    # The first one in a checkout compiles its loops, for some 15 s of a core, and others may do the same beside it.
    start_timeout_seconds = 120.0

    def __init__(
        self,
        folder: Path,
        flags: Sequence[str] = (),
        name: str = "nodescore",
        environment: Mapping[str, str] | None = None,
        ready: str = "/-/ready",
    ) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{self.address}"
        self.data_dir = folder / f"{name}-data"
        super().__init__(
            name,
            [
                sys.executable,
                "-m",
                "receiver",
                "serve",
                f"--listen={self.address}",
                f"--data-dir={self.data_dir}",
                *flags,
            ],
            folder / f"{name}.log",
            lambda: answers(f"{self.url}{ready}"),
        )
        ours = {key: value for key, value in self.environment.items() if not key.startswith("NODESCORE_")}
        self.environment = {**ours, "PYTHONPATH": str(SOURCE), **(environment or {})}

    def metrics(self) -> str:
        """What /metrics says now."""
        return fetch(f"{self.url}/metrics")[1].decode()
