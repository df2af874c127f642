"""What in manifests/ is made of the catalogue and of the shipped rules: `make manifests` writes it anew.

Out: for each file its text. kustomize reads no file outside of a component's folder, has no includes and cannot put a
file into a custom resource, so the relabel rules and alert rules stand there again; a test keeps them equal.

Components add to the configuration of Prometheus without knowing of each other: what is scraped is a file of its own,
which `prometheus.yml` names by a pattern; what is sent is put behind its end, where `remote_write` is the last key. In
the place of what is sent of nodes, between two marks, `sharded` puts its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from manifests import levels
from manifests.levels import APPLICATIONS, LEVELS, PODS, Level
from receiver import catalogue, promql
from receiver.settings import shipped_catalogue

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "manifests"
RULES = MANIFESTS / "prometheus"
NODES = shipped_catalogue("node24")
SHARDS = 3  # replicas of the component `sharded`
INTERVAL = "10s"
# Of Prometheus's service account, as kubelets mount it.
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
SCRAPED_TOO = {"scrape_config_files": ["/etc/prometheus/scrape-*.yml"]}
OF_NODES = "# --- of nodes ---\n"
BY_MAKE = "# Made by `make manifests`; edit tests/manifests/generated.py instead.\n"

Yaml = dict[str, Any]


def files() -> dict[Path, str]:
    """Path → what it should hold."""
    components = MANIFESTS / "components"
    operator = components / "prometheus-operator"
    nodes = _remote_write("nodescore", "http://nodescore:9201/api/v1/write")
    return {
        **{path: text for level in LEVELS for path, text in _of(level, nodes).items()},
        PODS.rules: levels.rules_of_pods(),
        PODS.catalogue: levels.catalogue_of_pods(),
        # Loaded where pods are scored alone: a series a pod and feature is more than a rule on nothing costs.
        components / "pods" / "prometheus" / "pod-rules.yaml": _text({"groups": _groups(PODS.alerts, PODS.rules)}),
        components / "prometheus" / "prometheus.yml": _text(_prometheus(IN_A_CLUSTER) | SCRAPED_TOO)
        + "remote_write:\n"
        + OF_NODES
        + _yaml([nodes])
        + OF_NODES,
        components / "sharded" / "remote-write.yml": _text([_shard(number) for number in range(SHARDS)]),
        components / "container-metrics" / "scrape-containers.yml": _scraped(
            _kubelets({"ca_file": f"{ACCOUNT}/ca.crt"}), KUBE_STATE_METRICS
        ),
        components / "container-metrics" / "unverified-kubelets" / "scrape-containers.yml": _scraped(
            _kubelets({"insecure_skip_verify": True}), KUBE_STATE_METRICS
        ),
        MANIFESTS / "compose" / "prometheus.yml": _text(_prometheus(ON_A_LAPTOP) | {"remote_write": [nodes]}),
        operator / "remote-write.yaml": _text(_operators_remote_write(nodes)),
        operator / "rules.yaml": _text(_operators_rules("nodescore", RULES / "alerts.yaml")),
    }


def _of(level: Level, nodes: Yaml) -> dict[Path, str]:
    """The files of a level beside that of nodes."""
    folder = MANIFESTS / "components" / f"{level.name}s"
    its = _remote_write(level.service, f"http://{level.service}:9201/api/v1/write", level.catalogue)
    scraped = {
        "job_name": level.service,
        "honor_labels": True,
        **_pods("nodescore", "http", component=f"{level.name}s"),
    }
    return {
        level.alerts: levels.alerts(level),
        folder / "prometheus" / f"scrape-{level.name}s.yml": _scraped(scraped),
        folder / "prometheus" / "remote-write.yml": _text([its]),
        folder / "prometheus-operator" / "remote-write.yaml": _text(_operators_remote_write(nodes, its)),
        folder / "prometheus-operator" / "rules.yaml": _text(
            _operators_rules(level.service, level.alerts, level.rules)
        ),
    }


def _remote_write(name: str, url: str, wanted: Path = NODES) -> Yaml:
    (remote_write,) = yaml.safe_load(promql.prometheus_snippet(catalogue.load(wanted), url))["remote_write"]
    return {**remote_write, "name": name}


def _shard(number: int) -> Yaml:
    name = f"nodescore-{number}"
    remote_write = _remote_write(name, f"http://{name}.nodescore-replicas:9201/api/v1/write")
    remote_write["write_relabel_configs"] += [
        {"source_labels": ["node"], "modulus": SHARDS, "target_label": "__tmp_shard", "action": "hashmod"},
        {"source_labels": ["__tmp_shard"], "regex": str(number), "action": "keep"},
        {"regex": "__tmp_shard", "action": "labeldrop"},
    ]
    return remote_write


def _prometheus(targets: Yaml) -> Yaml:
    """All but what is sent."""
    return {
        "global": {
            "scrape_interval": INTERVAL,
            "evaluation_interval": INTERVAL,
            "external_labels": targets["external_labels"],
        },
        "rule_files": ["/etc/prometheus-rules/*.yaml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": ["alertmanager:9093"]}]}]},
        "scrape_configs": [
            {"job_name": "node", **targets["node"]},
            {"job_name": "nodescore", "honor_labels": True, **targets["nodescore"]},
            {"job_name": "prometheus", "static_configs": [{"targets": ["127.0.0.1:9090"]}]},
        ],
    }


def _scraped(*jobs: Yaml) -> str:
    return _text({"scrape_configs": list(jobs)})


def _pods(
    name: str, port: str, relabel_configs: Sequence[Yaml] = (), namespace: str | None = None, component: str = ""
) -> Yaml:
    """The pods of a name and component, in the namespace of that name or another, by one of their ports."""
    label = f"app.kubernetes.io/name={name}" + (f",app.kubernetes.io/component={component}" if component else "")
    selector = {"role": "pod", "label": label}
    return {
        "kubernetes_sd_configs": [
            {"role": "pod", "namespaces": {"names": [namespace or name]}, "selectors": [selector]}
        ],
        "relabel_configs": [
            {"source_labels": ["__meta_kubernetes_pod_container_port_name"], "regex": port, "action": "keep"},
            {"source_labels": ["__meta_kubernetes_pod_phase"], "regex": "Succeeded|Failed", "action": "drop"},
            *relabel_configs,
        ],
    }


NODE_OF_POD = {"source_labels": ["__meta_kubernetes_pod_node_name"], "target_label": "node"}
IN_A_CLUSTER: Yaml = {
    # Prometheus puts in the pod's name; Nodescore listens to one replica of a cluster.
    "external_labels": {"cluster": "kubernetes", "prometheus_replica": "${POD_NAME}"},
    "node": _pods("node-exporter", "metrics", [NODE_OF_POD]),
    "nodescore": _pods("nodescore", "http", component="nodes"),
}
ON_A_LAPTOP: Yaml = {
    "external_labels": {"cluster": "laptop"},
    "node": {"static_configs": [{"targets": ["node-exporter:9100"], "labels": {"node": "laptop"}}]},
    "nodescore": {"static_configs": [{"targets": ["nodescore:9201"]}]},
}


KUBE_STATE_METRICS: Yaml = {
    "job_name": "kube-state-metrics",
    "honor_labels": True,
    **_pods("kube-state-metrics", "metrics", namespace="nodescore"),
}


def _kubelets(tls_config: Yaml) -> Yaml:
    """cAdvisor in each kubelet; of its metrics, those that the rules ask for."""
    asked = sorted(set(re.findall(r"\bcontainer_\w+", APPLICATIONS.rules.read_text(encoding="utf-8"))))
    return {
        "job_name": "cadvisor",
        "honor_labels": True,
        "track_timestamps_staleness": True,
        "scheme": "https",
        "metrics_path": "/metrics/cadvisor",
        "authorization": {"credentials_file": f"{ACCOUNT}/token"},
        "tls_config": tls_config,
        "kubernetes_sd_configs": [{"role": "node"}],
        "metric_relabel_configs": [{"source_labels": ["__name__"], "regex": "|".join(asked), "action": "keep"}],
    }


def _operators_remote_write(*remote_writes: Yaml) -> Yaml:
    """A patch of the Operator's object Prometheus, in another namespace."""
    return {"spec": {"remoteWrite": [_operators(remote_write) for remote_write in remote_writes]}}


def _operators(remote_write: Yaml) -> Yaml:
    remote_write = {**remote_write, "url": remote_write["url"].replace(":9201", ".nodescore.svc:9201")}
    version = {"messageVersion": "V2.0"} if remote_write.pop("protobuf_message", None) else {}
    rules = [{_camel(key): value for key, value in rule.items()} for rule in remote_write.pop("write_relabel_configs")]
    queue = {_camel(key): value for key, value in remote_write.pop("queue_config").items()}
    metadata = remote_write.pop("metadata_config")
    return {**remote_write, **version, "metadataConfig": metadata, "queueConfig": queue, "writeRelabelConfigs": rules}


def _camel(key: str) -> str:
    first, *others = key.split("_")
    return first + "".join(word.capitalize() for word in others)


def _operators_rules(name: str, *files: Path) -> Yaml:
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": name,
            "namespace": "nodescore",
            "labels": {"app.kubernetes.io/name": "nodescore"},
        },
        "spec": {"groups": _groups(*files)},
    }


def _groups(*files: Path) -> list[Yaml]:
    return [group for file in files for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]]


class _Dumper(yaml.SafeDumper):
    """Many lines as many lines."""


def _string(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _string)


def _text(document: Yaml | list[Yaml]) -> str:
    return BY_MAKE + _yaml(document)


def _yaml(document: Yaml | list[Yaml]) -> str:
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
