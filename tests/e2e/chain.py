"""The configuration that joins the chain: what the shipped snippet says, with a test's own addresses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from receiver import catalogue, promql

CATALOGUE = catalogue.load()
CLUSTER = "lab"
RULES = Path(__file__).parents[2] / "manifests" / "prometheus" / "alerts.yaml"


@dataclass(frozen=True)
class Receiver:
    """A Nodescore that Prometheus writes to and scrapes."""

    address: str
    protocol: Literal["v1", "v2"]
    relabelled: bool = True  # send only what the catalogue wants


def configuration(
    nodes: Mapping[str, str],
    receivers: Sequence[Receiver],
    alertmanager: str | None = None,
    interval: str = "1s",
    rules: Path = RULES,
) -> str:
    """prometheus.yml: nodes by name and address, all receivers, and the shipped rules."""
    snippets = [_snippet(receiver) for receiver in receivers]
    exporters = [{"targets": [address], "labels": {"node": name}} for name, address in nodes.items()]
    document: dict[str, Any] = {
        "global": {
            "scrape_interval": interval,
            "evaluation_interval": interval,
            "external_labels": {"cluster": CLUSTER},
        },
        "rule_files": [str(rules)],
        "remote_write": [remote_write for remote_write, _ in snippets],
        "scrape_configs": [
            {"job_name": "node", "static_configs": exporters},
            {**snippets[0][1], "static_configs": [{"targets": [receiver.address for receiver in receivers]}]},
        ],
    }
    if alertmanager is not None:
        document["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
    return yaml.safe_dump(document)


def _snippet(receiver: Receiver) -> tuple[dict[str, Any], dict[str, Any]]:
    document = yaml.safe_load(promql.prometheus_snippet(CATALOGUE, f"http://{receiver.address}/api/v1/write"))
    (remote_write,), (scrape,) = document["remote_write"], document["scrape_configs"]
    remote_write["name"] = f"nodescore-{receiver.protocol}"
    if receiver.protocol == "v1":
        del remote_write["protobuf_message"]
        del remote_write["metadata_config"]  # send it: metadata is a request of its own in v1
    if not receiver.relabelled:
        del remote_write["write_relabel_configs"]
    return remote_write, scrape
