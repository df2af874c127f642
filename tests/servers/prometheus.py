"""Prometheus, Alertmanager and node_exporter as processes on free loopback ports."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from receiver.cli.processes import free_port
from tests.servers import places
from tests.servers.process import Process

Labels = dict[str, str]
# The TCP states, which two features need; and without the collectors that Debian's build turns on and that would
# only fill the log where there is no systemd.
EXPORTER_FLAGS = ("--collector.tcpstat", "--no-collector.systemd", "--no-collector.textfile")


def fetch(url: str) -> tuple[int, bytes]:
    """Status and body of a GET; OSError where nobody answers. Cheap enough to be asked in a loop."""
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def answers(url: str) -> bool:
    """True where a GET gets a 200."""
    try:
        return fetch(url)[0] == 200
    except OSError:
        return False


def get(url: str, **parameters: str) -> Any:
    """The JSON that a GET answers with."""
    status, body = fetch(f"{url}?{urllib.parse.urlencode(parameters)}" if parameters else url)
    if status != 200:
        raise RuntimeError(f"GET {url} {parameters}: {status} {body.decode()}")
    return json.loads(body)


class Prometheus(Process):
    """A Prometheus with the configuration that a test gives; its data outlives `restart`."""

    def __init__(self, config: str, folder: Path, name: str = "prometheus", flags: Sequence[str] = ()) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.config = folder / f"{name}.yml"
        self.config.write_text(config, encoding="utf-8")
        super().__init__(
            name,
            [
                places.path_of("prometheus"),
                f"--config.file={self.config}",
                f"--storage.tsdb.path={folder / name}",
                f"--web.listen-address=127.0.0.1:{port}",
                *flags,
            ],
            folder / f"{name}.log",
            lambda: answers(f"{self.url}/-/ready"),
        )

    def query(self, expression: str, time_ms: int | None = None) -> list[tuple[Labels, float]]:
        """Labels and value of each series of an instant vector, at a millisecond or now."""
        at = {} if time_ms is None else {"time": f"{time_ms / 1000:.3f}"}
        result = get(f"{self.url}/api/v1/query", query=expression, **at)["data"]["result"]
        return [(series["metric"], float(series["value"][1])) for series in result]

    def samples(self, selector: str, seconds: int = 3600) -> list[tuple[Labels, list[tuple[int, float]]]]:
        """Labels and (time_ms, value) of every sample of the last seconds, as stored: nothing is interpolated."""
        result = get(f"{self.url}/api/v1/query", query=f"{selector}[{seconds}s]")["data"]["result"]
        return [
            (series["metric"], [(round(time * 1000), float(value)) for time, value in series["values"]])
            for series in result
        ]

    def series(self, selector: str) -> list[Labels]:
        """The label sets that match."""
        found: list[Labels] = get(f"{self.url}/api/v1/series", **{"match[]": selector})["data"]
        return found

    def alerts(self) -> list[dict[str, Any]]:
        """Pending and firing alerts."""
        found: list[dict[str, Any]] = get(f"{self.url}/api/v1/alerts")["data"]["alerts"]
        return found


class Alertmanager(Process):
    """An Alertmanager that keeps what it is sent, and notifies nobody."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        self.url = f"http://{self.address}"
        config = folder / "alertmanager.yml"
        config.write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n", encoding="utf-8")
        super().__init__(
            "alertmanager",
            [
                *_alertmanager(),
                f"--config.file={config}",
                f"--storage.path={folder / 'alertmanager'}",
                f"--web.listen-address={self.address}",
                "--cluster.listen-address=",
            ],
            folder / "alertmanager.log",
            lambda: answers(f"{self.url}/-/ready"),
        )

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that are active now."""
        found: list[dict[str, Any]] = get(f"{self.url}/api/v2/alerts", active="true")
        return found


def _alertmanager() -> list[str]:
    """Debian's build opens templates under /usr/share: the unpacked ones are put there for its eyes only."""
    path = places.path_of("alertmanager")
    share = Path(path).parent.parent / "share"
    if not (share / "prometheus/alertmanager").exists():
        return [path]
    mount = 'mount --bind "$0" /usr/share && exec "$@"'
    return ["unshare", "--mount", "--propagation=private", "sh", "-c", mount, str(share), path]


class NodeExporter(Process):
    """A node_exporter on this machine, with the TCP states that two features need."""

    def __init__(self, folder: Path, name: str = "node_exporter", flags: Sequence[str] = ()) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{self.address}/metrics"
        super().__init__(
            name,
            [
                places.path_of("node_exporter"),
                f"--web.listen-address={self.address}",
                *EXPORTER_FLAGS,
                *flags,
            ],
            folder / f"{name}.log",
            lambda: answers(self.url),
        )
