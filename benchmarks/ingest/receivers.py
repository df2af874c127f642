"""The receivers, each a process with an empty data folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from receiver.cli.processes import free_port
from tests.servers import places
from tests.servers.nodescore import Nodescore
from tests.servers.process import Process
from tests.servers.prometheus import Prometheus, answers


class VictoriaMetrics(Process):
    """A single VictoriaMetrics."""

    def __init__(self, folder: Path) -> None:
        address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{address}"
        super().__init__(
            "victoria-metrics",
            [
                places.path_of("victoria-metrics"),
                f"-storageDataPath={folder / 'victoria-metrics'}",
                f"-httpListenAddr={address}",
            ],
            folder / "victoria-metrics.log",
            lambda: answers(f"{self.url}/health"),
        )


Receiver = Nodescore | Prometheus | VictoriaMetrics


def nodescore(folder: Path) -> Receiver:
    """As `nodescore serve` with nothing set: journal synced, embedded store, the model that ships."""
    return Nodescore(folder)


def prometheus(folder: Path) -> Receiver:
    """Prometheus that takes remote write, and may take samples out of order as late as they come."""
    return Prometheus("global: {}\n", folder, flags=["--web.enable-remote-write-receiver"])


def victoria_metrics(folder: Path) -> Receiver:
    """VictoriaMetrics with its defaults."""
    return VictoriaMetrics(folder)


RECEIVERS: dict[str, Callable[[Path], Receiver]] = {
    "Nodescore": nodescore,
    "Prometheus": prometheus,
    "VictoriaMetrics": victoria_metrics,
}

# VictoriaMetrics 1.145 answers version 2 with 204 and keeps nothing: it reads the request as one of version 1, in
# whose fields there is nothing.
TAKE_VERSION_2 = frozenset({"Nodescore", "Prometheus"})
