"""Every query of every dashboard, asked of a real Prometheus and a real TimescaleDB.

A Nodescore scores the recording of the demo, in the middle of its attack, as of now; those of applications and pods do
so with theirs. Prometheus has what was recorded, and scrapes all scores; TimescaleDB has what is passed on to it.
"""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest
import snappy
import yaml

from manifests.grafana.scored import SCORED, Scored
from manifests.levels import PROMETHEUS
from receiver import promql
from receiver.cli.demo import SECONDS_BEFORE_EVENT, Player
from receiver.cli.recording import Recorded, read
from receiver.wire import remote_write_v2_pb2
from tests import counting_model
from tests.dashboards.asking import Shown, ask_until_data, post
from tests.dashboards.reading import NAMES, asked
from tests.servers.nodescore import SOURCE, Nodescore
from tests.servers.process import Runner, wait_until
from tests.servers.prometheus import Prometheus

# How long the attack has been under way at the start; what was before is sent at once, and the rest as it was recorded.
ATTACKED_SECONDS = 10
ANSWERS_WITHIN_SECONDS = 45
INTERVAL_SECONDS, RATE_SECONDS, SHOWN_SECONDS = 1, 10, 60


@dataclass(frozen=True)
class Attacked:
    """A recording of what is scored, and one of it that is attacked there."""

    recording: Path
    name: str
    event: str  # how that begins


ATTACKED = {
    "node": Attacked(SOURCE / "receiver/demo/recording.jsonl.gz", "node-0", ""),
    "application": Attacked(SOURCE / "tests/docs/applications.jsonl.gz", "s2-a1", "s2-a1: crash-loop begins"),
    "pod": Attacked(SOURCE / "tests/docs/pods.jsonl.gz", "lab/s2-p0", "s2-p0: crash-loop begins"),
}
# What was recorded as a pod has no namespace, without which a name is none of a pod to the rules.
RECORDED_POD = re.compile(r"s\d-p\d+")
# Empty by nature on this stack; they must be answered all the same.
EMPTY = {
    **{f"{name} / $cluster": "what was recorded has no cluster" for name in NAMES if name != "service"},
    "fleet / Nodes not heard of / A": "every node is heard of",
    "applications / Applications not heard of / A": "every application is heard of",
    "pods / Pods not heard of / A": "every pod is heard of",
    **{
        f"{name} / cpu_throttled / A": "nothing that was recorded has a limit of CPU" for name in ("application", "pod")
    },
    "service / Connections / B": "the services have ended no connection",
    "service / Drift / A": "drift is told from 500 rows on, and the recordings have fewer",
    "service / Pairs / A": "no pair of Prometheus sends",
}


@pytest.mark.real("prometheus", "timescale")
def test_every_query_of_every_dashboard_gives_data(run_server: Runner, timescale_dsn: str, tmp_path: Path) -> None:
    every = [one for name in NAMES for one in asked(name)]
    assert EMPTY.keys() <= {one.where for one in every}
    services = {of.one: run_server(_nodescore(of, timescale_dsn, tmp_path)) for of in SCORED}
    flags = ["--web.enable-remote-write-receiver"]
    prometheus = run_server(Prometheus(_config(services), tmp_path, flags=flags))
    names = {of.one: ATTACKED[of.one].name for of in SCORED}
    with ExitStack() as stack:
        for of in SCORED:
            _try_in_the_shadow(of, services[of.one], timescale_dsn, tmp_path)
            requests = _attacked(ATTACKED[of.one])
            for url in (prometheus.url, services[of.one].url):
                stack.enter_context(Player(requests, url))
        firing = [f'ALERTS{{alertname="{of.anomalous}",alertstate="firing"}}' for of in SCORED]
        wait_until(lambda: all(map(prometheus.query, firing)), "an alert of each", ANSWERS_WITHIN_SECONDS)
        for of in SCORED:
            # It clears a minute after its node was muted: until then there are both.
            said = {"node": names[of.one], "author": "ann"}
            post(services[of.one].url, "mutes", {**said, "duration": "1h", "reason": "a test"})
            post(services[of.one].url, "feedback", {**said, "start": "-30s", "end": "now", "verdict": "TP"})
        database = stack.enter_context(psycopg.connect(timescale_dsn, autocommit=True))
        shown = Shown(prometheus.url, database, names, "", INTERVAL_SECONDS, RATE_SECONDS, SHOWN_SECONDS)
        ask_until_data(every, shown, EMPTY, ANSWERS_WITHIN_SECONDS)
        models = [one.text for one in every if " / Model / " in one.where]
        versions = [{labels["version"] for labels, _ in prometheus.query(text)} for text in models]
        assert [len(each) for each in versions] == [1] * len(SCORED)
        assert len(set.union(*versions)) == len(SCORED)


def _nodescore(of: Scored, dsn: str, folder: Path) -> Nodescore:
    environment = {} if of.scraped else {"NODESCORE_CATALOGUE": of.one}
    return Nodescore(folder, [f"--store={dsn}"], promql.service_name(of.one), environment)


def _try_in_the_shadow(of: Scored, service: Nodescore, dsn: str, folder: Path) -> None:
    candidate = counting_model.write(folder / f"{of.one}.onnx", of.catalogue, "candidate")
    add = [sys.executable, "-m", "receiver", "models", "add", str(candidate), f"--store={dsn}"]
    subprocess.run(add, cwd=SOURCE, env=service.environment, check=True, capture_output=True)
    post(service.url, "models/candidate/shadow", {"by": "ann"})


def _config(services: dict[str, Nodescore]) -> str:
    """prometheus.yml: the shipped scrape jobs and the shipped alert rules, each second."""
    snippets = [promql.prometheus_snippet(of.catalogue, f"{services[of.one].url}/api/v1/write") for of in SCORED]
    return yaml.safe_dump(
        {
            "global": dict.fromkeys(("scrape_interval", "evaluation_interval"), f"{INTERVAL_SECONDS}s"),
            "rule_files": [str(path) for path in PROMETHEUS.glob("*alerts.yaml")],
            "scrape_configs": [job for snippet in snippets for job in yaml.safe_load(snippet)["scrape_configs"]],
        }
    )


def _attacked(attacked: Attacked) -> list[Recorded]:
    """The recording with one event only, so that its player starts in the middle of the attack."""
    requests = read(attacked.recording)
    began_ms = next(each.at_ms or 0 for each in requests if each.event and attacked.event in ("", each.event))
    from_ms = began_ms + (ATTACKED_SECONDS + SECONDS_BEFORE_EVENT) * 1000
    place = next(place for place, request in enumerate(requests) if (request.at_ms or 0) >= from_ms)
    return [_named(replace(request, event="now" if at == place else "")) for at, request in enumerate(requests)]


def _named(request: Recorded) -> Recorded:
    """With pods in a namespace."""
    if "v2" not in request.headers["content-type"]:
        return request
    message = remote_write_v2_pb2.Request.FromString(snappy.uncompress(request.body))
    symbols = [f"lab/{symbol}" if RECORDED_POD.fullmatch(symbol) else symbol for symbol in message.symbols]
    message.symbols[:] = symbols
    return replace(request, body=snappy.compress(message.SerializeToString()))
