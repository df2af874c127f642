"""compose.yaml, run by podman-compose: what a laptop has of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import yaml

from tests.e2e import stored
from tests.manifests.engine import Engine
from tests.manifests.generated import ROOT
from tests.servers.netns import Network
from tests.servers.process import wait_until
from tests.servers.prometheus import answers, get

pytestmark = pytest.mark.real(
    "podman", "runc", "catatonit", "kubectl", "timescale", "prometheus", "alertmanager", "node_exporter"
)

FILE = ROOT / "compose.yaml"
# Half a minute is said there; the rest is for other work beside this.
FIRST_SCORE_SECONDS = 90


@dataclass(frozen=True)
class Laptop:
    """A machine on which the file is up, by its address."""

    address: str
    password: str  # of the database

    def ask(self, expression: str) -> list[dict[str, str]]:
        """The labels of what its Prometheus answers."""
        result = get(f"http://{self.address}:9090/api/v1/query", query=expression)["data"]["result"]
        return [series["metric"] for series in result]

    def rows(self) -> dict[str, list[int]]:
        """When the rows of its TimescaleDB were scraped, by node."""
        try:
            return stored.times_ms(f"postgresql://nodescore:{self.password}@{self.address}:5432/nodescore")
        except psycopg.OperationalError:
            return {}


@pytest.fixture
def laptop(image: str, images: frozenset[str], nodes_network: Network, tmp_path: Path) -> Iterator[Laptop]:
    """`docker compose up` on a machine of its own. Its services share that one's network, with a name each: the engine
    here has no DNS for networks of containers.
    """
    services = yaml.safe_load(FILE.read_text(encoding="utf-8"))["services"]
    assert {service["image"] for service in services.values()} == images - {image} | {"nodescore"}
    host = nodes_network.add_host()
    inside = ["nsenter", f"--net=/run/netns/{host.namespace}"]
    engine = Engine(tmp_path, inside, f"127.0.0.1 localhost\n{host.address} {' '.join(services)}\n")
    engine("tag", image, "localhost/nodescore:latest")
    shared = tmp_path / "shared.yaml"
    shared.write_text(yaml.safe_dump({"services": {name: {"network_mode": "host"} for name in services}}))
    files = (FILE, shared)
    try:
        engine.compose(files, "up", "--detach", "--no-build")
        yield Laptop(host.address, services["timescaledb"]["environment"]["POSTGRES_PASSWORD"])
    finally:
        (tmp_path / "compose.log").write_text(engine.logs(), encoding="utf-8")
        engine.compose(files, "down", "--volumes")


def test_the_compose_file_scores_this_machine_and_keeps_the_rows(laptop: Laptop) -> None:
    wait_until(lambda: answers(f"http://{laptop.address}:9090/-/ready"), "Prometheus is ready", 60)
    (labels,) = wait_until(lambda: laptop.ask("anomaly_score"), "a first score", FIRST_SCORE_SECONDS)
    assert labels["node"] == "laptop"
    wait_until(laptop.rows, "rows in TimescaleDB", 30)
    groups = get(f"http://{laptop.address}:9090/api/v1/rules")["data"]["groups"]
    assert {group["name"] for group in groups} == {"nodescore-nodes", "nodescore-service"}
    managers = get(f"http://{laptop.address}:9090/api/v1/alertmanagers")["data"]["activeAlertmanagers"]
    assert [manager["url"] for manager in managers] == ["http://alertmanager:9093/api/v2/alerts"]
    wait_until(lambda: answers(f"http://{laptop.address}:9093/-/ready"), "Alertmanager is ready", 30)
