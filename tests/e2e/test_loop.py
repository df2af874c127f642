"""The whole loop, on nodes that are really attacked: alerts, what operators say of them, and the model made of that."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from models.scenarios.at_work import at_work, exporter_of, start_quietly
from models.scenarios.attacks import KINDS, bounded
from models.scenarios.node import Cluster, cluster
from tests.e2e.chain import CLUSTER, RULES, Receiver, configuration
from tests.servers import places
from tests.servers.browser import running_chromium
from tests.servers.nodescore import Nodescore
from tests.servers.process import Runner, wait_until
from tests.servers.prometheus import Alertmanager, Prometheus

# One for each kind of attack, one that is attacked before, and one whose job nobody minds.
NODES = tuple(f"node-{number}" for number in range(len(KINDS) + 2))
FIRST_NODE, BUSY_NODE = NODES[-2:]
FIRST_ATTACK = ("mixed-dos", 0.5)
# None of them is the one that was marked; the strength that is hard to overlook.
LATER_ATTACKS = {name: max(kind.strengths) for name, kind in KINDS.items()}
SCRAPE_INTERVAL = "5s"  # that of the recorded attacks, from which models learn too
WATCHED_ROWS, WATCHED_SECONDS = 20, 180
EPISODE_SECONDS = 75
# Two of three rows over the threshold, their way through the rule, and the rule's to Alertmanager.
ALERT_SECONDS = 70
QUIET_SECONDS = 240
RETRAINED_SECONDS = 600
LINE = re.compile(r'^anomaly_model_info\{.*version="([^"]+)"\} 1\.0$', re.MULTILINE)
# Nobody attacks it: a resolver starts, and binds a socket for each query that it may have under way.
RESOLVER = """
import socket, time
sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(400)]
for one in sockets:
    one.bind(("127.0.0.1", 0))
time.sleep(600)
"""


@pytest.fixture
def nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """Nodes at work, each with a node_exporter and a web server that has visitors."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "prometheus-node-exporter").symlink_to(places.path_of("node_exporter"))
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    place = tmp_path / "nodes"
    place.mkdir()
    with cluster(NODES, place) as made, at_work(made, place, seed=5):
        yield made


@pytest.fixture
def chromium() -> Iterator[Browser]:
    with running_chromium() as browser:
        yield browser


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.real("prometheus", "alertmanager", "node_exporter", "chromium", "netns", "groups", "lxcfs", "nginx")
@pytest.mark.real("stress-ng", "nmap", "hping3", "wrk", "curl")
def test_what_operators_say_of_two_alerts_ends_the_false_one_and_leaves_attacks_of_every_kind_raised(
    run_server: Runner, timescale_dsn: str, nodes: Cluster, chromium: Browser, tmp_path: Path
) -> None:
    after_two = {"NODESCORE_RETRAIN_AFTER_LABELS": "2"}
    nodescore = run_server(Nodescore(tmp_path, [f"--store={timescale_dsn}"], environment=after_two))
    alertmanager = run_server(Alertmanager(tmp_path))
    exporters = {one.name: exporter_of(one) for one in nodes.nodes}
    receivers = [Receiver(nodescore.address, "v2")]
    config = configuration(exporters, receivers, alertmanager.address, SCRAPE_INTERVAL, rules(nodescore, tmp_path))
    prometheus = run_server(Prometheus(config, tmp_path))
    first = active(nodescore)
    enough = f"count(count_over_time(anomaly_score[5m]) >= {WATCHED_ROWS}) == {len(NODES)}"
    wait_until(lambda: prometheus.query(enough), "every node has been watched", WATCHED_SECONDS)

    with episodes(nodes, {FIRST_NODE: FIRST_ATTACK}):
        wait_until(lambda: {FIRST_NODE, BUSY_NODE} <= set(alerts(alertmanager)), "both alerts", ALERT_SECONDS)
        told = alerts(alertmanager)
    say(chromium, told[FIRST_NODE], "There was an alert, and it was right", "a flood")
    say(chromium, told[BUSY_NODE], "There was an alert, and it was wrong", "the new resolver")
    wait_until(lambda: active(nodescore) != first, "the retrained model is in use", RETRAINED_SECONDS)
    wait_until(lambda: not alerts(alertmanager), "no alert is open", QUIET_SECONDS)

    where = dict(zip(NODES, LATER_ATTACKS.items(), strict=False))
    with episodes(nodes, where):
        time.sleep(ALERT_SECONDS)  # so long it takes to see that there is no alert
        assert set(alerts(alertmanager)) == set(where)


def rules(nodescore: Nodescore, folder: Path) -> Path:
    """The shipped rules, with the address of the pages put in, as they ask for."""
    path = folder / "alerts.yaml"
    path.write_text(RULES.read_text().replace("http://nodescore.example:9201", nodescore.url))
    return path


def active(nodescore: Nodescore) -> str:
    """The version in use."""
    (found,) = LINE.findall(nodescore.metrics())
    return str(found)


def alerts(alertmanager: Alertmanager) -> dict[str, dict[str, Any]]:
    """The alert of each node that has one."""
    found = [alert for alert in alertmanager.alerts() if alert["labels"]["alertname"] == "NodeAnomalous"]
    return {alert["labels"]["node"]: alert for alert in found}


def say(chromium: Browser, alert: Mapping[str, Any], verdict: str, details: str) -> None:
    """What an operator does: follow the alert's link, choose, keep."""
    page = chromium.new_page()
    page.goto(alert["annotations"]["feedback_url"])
    assert page.get_by_label("Node", exact=True).input_value() == alert["labels"]["node"]
    assert page.get_by_label("Cluster").input_value() == CLUSTER
    page.get_by_text(verdict).click()
    page.get_by_label("Details").fill(details)
    page.get_by_label("Your name").fill("Ann")
    page.get_by_role("button", name="Keep").click()
    page.get_by_text(details).first.wait_for()
    page.close()


@contextmanager
def episodes(made: Cluster, attacks: Mapping[str, tuple[str, float]]) -> Iterator[None]:
    """Attacks by node, and the busy node's own job; all have ended by themselves when it is left."""
    by_name = {one.name: one for one in made.nodes}
    commands = [by_name[BUSY_NODE].argv(*bounded(EPISODE_SECONDS, sys.executable, "-IS", "-c", RESOLVER))]
    for name, (kind, strength) in attacks.items():
        commands += KINDS[kind].commands(by_name[name], made.attacker, strength, EPISODE_SECONDS)
    under_way = [start_quietly(command) for command in commands]
    try:
        yield
    finally:
        for process in under_way:
            process.wait(EPISODE_SECONDS + 10)
