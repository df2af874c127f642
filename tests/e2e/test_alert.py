"""A machine under stress raises an alert that names the metrics behind it, all the way to Alertmanager."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.chain import CLUSTER, Receiver, configuration
from tests.servers import places
from tests.servers.nodescore import Nodescore
from tests.servers.process import Runner, wait_until
from tests.servers.prometheus import Alertmanager, NodeExporter, Prometheus

NODE = "machine"
SCORE = f'anomaly_score{{cluster="{CLUSTER}",node="{NODE}"}}'
OF_THE_CPU = {"cpu_sec_idle", "load1", "load5", "load15"}
SCORE_WITHIN_SECONDS = 30
ALERT_WITHIN_SECONDS = 30  # after the score; it takes half of the rows of 15 s
RESOLVED_WITHIN_SECONDS = 240  # the score falls, the median, and `keep_firing_for` is over
# The shipped model learns what is usual on a node; one that it has known for ten seconds alarms later.
WATCHED_ROWS = 60
CALM_SECONDS = 10
CALM_WITHIN_SECONDS = 240


@contextmanager
def stress() -> Iterator[None]:
    """Keep every CPU busy, for two minutes at most."""
    argv = [places.path_of("stress-ng"), "--cpu", "0", "--timeout", "120s", "--quiet"]
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        child.terminate()
        child.wait()


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.real("prometheus", "node_exporter", "alertmanager", "stress-ng")
def test_stress_raises_an_alert_that_names_the_cpu_and_resolves_afterwards(
    run_server: Runner, timescale_dsn: str, tmp_path: Path
) -> None:
    exporter = run_server(NodeExporter(tmp_path))
    alertmanager = run_server(Alertmanager(tmp_path))
    nodescore = run_server(Nodescore(tmp_path, [f"--store={timescale_dsn}"]))
    config = configuration({NODE: exporter.address}, [Receiver(nodescore.address, "v2")], alertmanager.address)
    prometheus = run_server(Prometheus(config, tmp_path))

    calm = f"count_over_time({SCORE}[5m]) >= {WATCHED_ROWS} and max_over_time({SCORE}[{CALM_SECONDS}s]) < 1"
    # Other work on this machine may have raised an alert of its own, rightly: it has to be over first.
    wait_until(lambda: prometheus.query(calm) and not alertmanager.alerts(), "a calm node", CALM_WITHIN_SECONDS)

    began = time.time()
    with stress():
        wait_until(lambda: prometheus.query(f"{SCORE} > 1"), "a score over 1", SCORE_WITHIN_SECONDS)
        wait_until(lambda: firing(prometheus), "the alert fires", ALERT_WITHIN_SECONDS)
        alert = wait_until(lambda: held(alertmanager), "Alertmanager holds the alert")
        settled = wait_until(lambda: of_the_cpu(held(alertmanager)), "the top feature is of the CPU")

    assert alert["labels"] == {"alertname": "NodeAnomalous", "cluster": CLUSTER, "node": NODE, "severity": "warning"}
    assert float(settled["annotations"]["score"]) >= 1  # of two decimals
    row_time = datetime.fromisoformat(settled["annotations"]["time"][:19] + "+00:00")
    assert began - 1 <= row_time.timestamp() <= time.time()

    wait_until(lambda: not alertmanager.alerts(), "the alert resolves", RESOLVED_WITHIN_SECONDS)


def firing(prometheus: Prometheus) -> bool:
    return any(
        alert["labels"]["alertname"] == "NodeAnomalous" and alert["state"] == "firing" for alert in prometheus.alerts()
    )


def held(alertmanager: Alertmanager) -> dict[str, Any] | None:
    found = [alert for alert in alertmanager.alerts() if alert["labels"]["alertname"] == "NodeAnomalous"]
    assert len(found) <= 1
    return found[0] if found else None


def of_the_cpu(alert: dict[str, Any] | None) -> dict[str, Any] | None:
    """The alert, where the first of its top features is one of the CPU's."""
    return alert if alert and alert["annotations"]["top_features"].split()[0] in OF_THE_CPU else None
