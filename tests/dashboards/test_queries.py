"""Every query of every dashboard, asked of a real Prometheus and a real TimescaleDB.

A Nodescore scores the recording of the demo, in the middle of its attack, as of now. Prometheus has what the recorded
node_exporter said, and scrapes the scores; TimescaleDB has what Nodescore passes on to it.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
import yaml

from receiver import promql
from receiver.cli.demo import SECONDS_BEFORE_EVENT, Player
from receiver.cli.recording import Recorded, read
from tests import counting_model
from tests.dashboards.asking import Shown, ask_until_data, post
from tests.dashboards.reading import NAMES, asked
from tests.e2e.chain import CATALOGUE, RULES
from tests.servers.nodescore import SOURCE, Nodescore
from tests.servers.process import Runner, wait_until
from tests.servers.prometheus import Prometheus

RECORDING = SOURCE / "receiver" / "demo" / "recording.jsonl.gz"
NODE = "node-0"
# How long the attack has been under way at the start; what was before is sent at once, and the rest as it was recorded.
ATTACKED_SECONDS = 10
ANSWERS_WITHIN_SECONDS = 45
INTERVAL_SECONDS, RATE_SECONDS, SHOWN_SECONDS = 1, 10, 60
# Empty by nature on this stack; they must be answered all the same.
EMPTY = {
    "fleet / $cluster": "the recorded nodes have no cluster",
    "node / $cluster": "the recorded nodes have no cluster",
    "fleet / Nodes not heard of / A": "every node is heard of",
    "service / Connections / B": "the service has ended no connection",
    "service / Drift / A": "drift is told from 500 rows on, and the recording has fewer",
    "service / Pairs / A": "no pair of Prometheus sends",
}


@pytest.mark.real("prometheus", "timescale")
def test_every_query_of_every_dashboard_gives_data(run_server: Runner, timescale_dsn: str, tmp_path: Path) -> None:
    every = [one for name in NAMES for one in asked(name)]
    assert EMPTY.keys() <= {one.where for one in every}
    nodescore = run_server(Nodescore(tmp_path, [f"--store={timescale_dsn}"]))
    flags = ["--web.enable-remote-write-receiver"]
    prometheus = run_server(Prometheus(_config(nodescore.address), tmp_path, flags=flags))
    candidate = counting_model.write(tmp_path / "candidate.onnx", CATALOGUE, "candidate")
    add = [sys.executable, "-m", "receiver", "models", "add", str(candidate), f"--store={timescale_dsn}"]
    subprocess.run(add, cwd=SOURCE, check=True, capture_output=True)
    post(nodescore.url, "models/candidate/shadow", {"by": "ann"})
    requests = _attacked(read(RECORDING))
    with Player(requests, prometheus.url), Player(requests, nodescore.url), psycopg.connect(timescale_dsn) as database:
        database.autocommit = True
        wait_until(lambda: prometheus.query('ALERTS{alertstate="firing"}'), "an alert", ANSWERS_WITHIN_SECONDS)
        # It clears a minute after its node was muted: until then there are both.
        post(nodescore.url, "mutes", {"node": NODE, "duration": "1h", "reason": "a test", "author": "ann"})
        post(nodescore.url, "feedback", {"node": NODE, "start": "-30s", "end": "now", "verdict": "TP", "author": "ann"})
        shown = Shown(prometheus.url, database, NODE, "", INTERVAL_SECONDS, RATE_SECONDS, SHOWN_SECONDS)
        ask_until_data(every, shown, EMPTY, ANSWERS_WITHIN_SECONDS)


def _config(nodescore: str) -> str:
    """prometheus.yml: the shipped scrape job and the shipped rules, each second."""
    (scrape,) = yaml.safe_load(promql.prometheus_snippet(CATALOGUE, f"http://{nodescore}"))["scrape_configs"]
    return yaml.safe_dump(
        {
            "global": dict.fromkeys(("scrape_interval", "evaluation_interval"), f"{INTERVAL_SECONDS}s"),
            "rule_files": [str(RULES)],
            "scrape_configs": [scrape],
        }
    )


def _attacked(requests: list[Recorded]) -> list[Recorded]:
    """The recording with one event only, so that its player starts in the middle of the attack."""
    began_ms = next(request.at_ms or 0 for request in requests if request.event)
    from_ms = began_ms + (ATTACKED_SECONDS + SECONDS_BEFORE_EVENT) * 1000
    place = next(place for place, request in enumerate(requests) if (request.at_ms or 0) >= from_ms)
    return [replace(request, event="now" if at == place else "") for at, request in enumerate(requests)]
