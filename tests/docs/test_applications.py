"""What the page on applications and pods says, by a real Prometheus and traffic that one has sent.

The recordings are of ten minutes each (`nodescore scenario record --catalogue application`, and `pod`): Caddys before
web servers, with jobs beside them, scraped by a real Prometheus whose rules made what was sent.
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

from manifests.levels import APPLICATIONS, LEVELS, PROMETHEUS, Level
from receiver import catalogue, promql
from receiver.cli.recording import Recorded, Sender, read
from receiver.cli.replay import delta_of, moved
from receiver.settings import shipped_catalogue
from tests.docs.pages import block_with
from tests.servers import places
from tests.servers.nodescore import Nodescore
from tests.servers.process import Runner, wait_until
from tests.servers.prometheus import Prometheus, fetch, get

PAGE = "applications.md"
RECORDED = {
    level: {f"s2-{level.name[0]}{n}" for n in range(count)} for level, count in zip(LEVELS, (4, 6), strict=True)
}
# As long before an attack, the application is itself.
QUIET_MS = 15_000


@dataclass(frozen=True)
class Replayed:
    """A service that has the recording, and by how much its times were moved."""

    level: Level
    service: Nodescore
    delta_ms: int


def said(page_text: str, level: Level) -> str:
    """What the page says of applications, of a level."""
    return page_text.replace(APPLICATIONS.name, level.name)


def recording(level: Level) -> list[Recorded]:
    """What Prometheus has sent of a level."""
    return read(Path(__file__).parent / f"{level.name}s.jsonl.gz")


@pytest.fixture(scope="module", params=LEVELS, ids=lambda level: level.name)
def replayed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replayed]:
    """Started as the page says, with the recording in it, which has ended just now."""
    level: Level = request.param
    variable, *command = said(block_with(PAGE, "nodescore serve").text, level).split()
    assert command[:2] == ["nodescore", "serve"]
    name, _, value = variable.partition("=")
    service = Nodescore(tmp_path_factory.mktemp(level.name), environment={name: value})
    service.start()
    try:
        requests = recording(level)
        delta_ms = delta_of(requests, time.time() * 1000, 0)
        with closing(Sender(f"{service.url}/api/v1/write")) as sender:
            for one in requests:
                assert sender.send(one.headers, moved(one, delta_ms)).status == 204
        wait_until(lambda: service.metrics().count("\nanomaly_score{") == len(RECORDED[level]), "a score of each")
        yield Replayed(level, service, delta_ms)
    finally:
        service.stop()


def test_each_has_a_score_under_its_own_label(replayed: Replayed, run_server: Runner, tmp_path: Path) -> None:
    job = {"job_name": "nodescore", "honor_labels": True, "static_configs": [{"targets": [replayed.service.address]}]}
    document = yaml.safe_dump({"global": {"scrape_interval": "1s"}, "scrape_configs": [job]})
    prometheus = run_server(Prometheus(document, tmp_path))
    query = said(block_with(PAGE, "anomaly_score{").text, replayed.level)
    found = wait_until(lambda: prometheus.query(query), "scores in Prometheus")
    assert {labels[replayed.level.name] for labels, _ in found} == RECORDED[replayed.level]
    assert not any("node" in labels for labels, _ in found)


@pytest.mark.real("promtool")
def test_prometheus_takes_the_rules_and_what_is_printed_for_it_beside_that_for_nodes(tmp_path: Path) -> None:
    document = yaml.safe_load(promql.prometheus_snippet(catalogue.load())) | {"rule_files": []}
    for level in LEVELS:
        wanted = catalogue.load(shipped_catalogue(level.name))
        printed = yaml.safe_load(promql.prometheus_snippet(wanted))
        for name, entries in (printed | yaml.safe_load(said(block_with(PAGE, "rule_files").text, level))).items():
            document[name] += entries
    for name in document["rule_files"]:
        (tmp_path / name).write_bytes((PROMETHEUS / name).read_bytes())
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(document), encoding="utf-8")
    check = [places.path_of("promtool"), "check", "config", str(tmp_path / "prometheus.yml")]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.name)
def test_the_rules_of_a_cluster_record_every_feature(level: Level) -> None:
    rules = yaml.safe_load(level.rules.read_text(encoding="utf-8"))
    recorded = {rule["record"] for group in rules["groups"] for rule in group["rules"]}
    assert set(catalogue.load(shipped_catalogue(level.name)).terms_of_metric) <= recorded


def test_one_whose_web_server_is_killed_again_and_again_is_over_the_threshold_meanwhile(replayed: Replayed) -> None:
    name, began_ms, ended_ms = _attack(recording(replayed.level), "crash-loop")
    points = get(f"{replayed.service.url}/api/v1/nodes/{name}/scores")["points"]
    score = {point["time_ms"] - replayed.delta_ms: point["score"] for point in points}
    assert max(score[at] for at in score if began_ms <= at <= ended_ms) > 1
    assert max(score[at] for at in score if began_ms - QUIET_MS <= at < began_ms) < 1


def test_the_pages_speak_of_what_is_scored(replayed: Replayed) -> None:
    status, page = fetch(f"{replayed.service.url}/")
    assert status == 200
    assert f"{replayed.level.name.capitalize()}s by anomaly score" in page.decode()


def _attack(requests: Sequence[Recorded], kind: str) -> tuple[str, int, int]:
    """Which was attacked, when it began and when it ended, in Unix milliseconds, as the recording says."""
    events = {request.event: request.at_ms or 0 for request in requests if f": {kind} " in (request.event or "")}
    (name,) = {event.partition(":")[0] for event in events if event}
    return name, events[f"{name}: {kind} begins"], events[f"{name}: {kind} ends"]
