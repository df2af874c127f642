"""What the page on applications says, by a real Prometheus and traffic that one has sent.

The recording is of ten minutes of four applications (`nodescore scenario record --applications`): each a Caddy before a
web server, with jobs beside it, scraped by a real Prometheus whose rules made what was sent.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from receiver import catalogue, promql
from receiver.cli.recording import Recorded, Sender, read
from receiver.cli.replay import delta_of, moved
from receiver.settings import shipped_catalogue
from tests.docs.pages import DOCS, block_with
from tests.servers import places
from tests.servers.nodescore import Nodescore
from tests.servers.process import Runner, wait_until
from tests.servers.prometheus import Prometheus, fetch, get

PAGE = "applications.md"
RECORDING = Path(__file__).parent / "applications.jsonl.gz"
# As long before an attack, the application is itself.
QUIET_MS = 15_000
APPLICATIONS = {f"s2-a{number}" for number in range(4)}


@dataclass(frozen=True)
class Replayed:
    """A service that has the recording, and by how much its times were moved."""

    service: Nodescore
    delta_ms: int


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replayed]:
    """Started as the page says, with the recording in it, which has ended just now."""
    variable, *command = block_with(PAGE, "nodescore serve").text.split()
    assert command[:2] == ["nodescore", "serve"]
    name, _, value = variable.partition("=")
    service = Nodescore(tmp_path_factory.mktemp("applications"), environment={name: value})
    service.start()
    try:
        requests = read(RECORDING)
        delta_ms = delta_of(requests, time.time() * 1000, 0)
        with closing(Sender(f"{service.url}/api/v1/write")) as sender:
            for request in requests:
                assert sender.send(request.headers, moved(request, delta_ms)).status == 204
        wait_until(lambda: service.metrics().count("\nanomaly_score{") == len(APPLICATIONS), "a score of each")
        yield Replayed(service, delta_ms)
    finally:
        service.stop()


def test_each_application_has_a_score_under_its_own_label(
    replayed: Replayed, run_server: Runner, tmp_path: Path
) -> None:
    job = {"job_name": "nodescore", "honor_labels": True, "static_configs": [{"targets": [replayed.service.address]}]}
    document = yaml.safe_dump({"global": {"scrape_interval": "1s"}, "scrape_configs": [job]})
    prometheus = run_server(Prometheus(document, tmp_path))
    query = block_with(PAGE, "anomaly_score{").text
    found = wait_until(lambda: prometheus.query(query), "scores in Prometheus")
    assert {labels["application"] for labels, _ in found} == APPLICATIONS
    assert not any("node" in labels for labels, _ in found)


@pytest.mark.real("promtool")
def test_prometheus_takes_the_rules_and_what_is_printed_for_it_beside_that_for_nodes(tmp_path: Path) -> None:
    wanted = catalogue.load(shipped_catalogue("application"))
    document = yaml.safe_load(promql.prometheus_snippet(wanted))
    for name, entries in yaml.safe_load(promql.prometheus_snippet(catalogue.load())).items():
        document[name] += entries
    files = yaml.safe_load(block_with(PAGE, "rule_files").text)
    document |= files
    for name in files["rule_files"]:
        (tmp_path / name).write_bytes((DOCS.parent / "manifests/prometheus" / name).read_bytes())
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(document), encoding="utf-8")
    check = [places.path_of("promtool"), "check", "config", str(tmp_path / "prometheus.yml")]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_of_a_cluster_record_every_feature() -> None:
    rules = yaml.safe_load((DOCS.parent / "manifests/prometheus/application-rules-kubernetes.yaml").read_text())
    recorded = {rule["record"] for group in rules["groups"] for rule in group["rules"]}
    assert set(catalogue.load(shipped_catalogue("application")).terms_of_metric) <= recorded


def test_an_application_whose_web_server_is_killed_again_and_again_is_over_the_threshold_meanwhile(
    replayed: Replayed,
) -> None:
    requests = read(RECORDING)
    application, began_ms, ended_ms = _attack(requests, "crash-loop")
    points = get(f"{replayed.service.url}/api/v1/nodes/{application}/scores")["points"]
    score = {point["time_ms"] - replayed.delta_ms: point["score"] for point in points}
    assert max(score[at] for at in score if began_ms <= at <= ended_ms) > 1
    assert max(score[at] for at in score if began_ms - QUIET_MS <= at < began_ms) < 1


def test_the_pages_speak_of_applications(replayed: Replayed) -> None:
    status, page = fetch(f"{replayed.service.url}/")
    assert status == 200
    assert "Applications by anomaly score" in page.decode()


def _attack(requests: Sequence[Recorded], kind: str) -> tuple[str, int, int]:
    """The application, when it began and when it ended, in Unix milliseconds, as the recording says."""
    events = {request.event: request.at_ms or 0 for request in requests if f": {kind} " in (request.event or "")}
    (application,) = {event.partition(":")[0] for event in events if event}
    return application, events[f"{application}: {kind} begins"], events[f"{application}: {kind} ends"]
