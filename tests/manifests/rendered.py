"""What kustomize makes of the manifests: the objects that `kubectl apply --kustomize` sends."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.manifests.generated import MANIFESTS
from tests.servers import places

Object = dict[str, Any]

# Each is rendered whole by the tests.
KUSTOMIZATIONS = (
    "base",
    "overlays/complete",
    "overlays/ha",
    "overlays/sharded",
    "overlays/applications",
    "overlays/operator",
)
# Of Kubernetes; manifests/README.md names the first and the last.
VERSIONS = tuple(f"1.{minor}" for minor in range(29, 38))
WORKLOADS = ("StatefulSet", "Deployment", "DaemonSet", "CronJob")


@cache
def text(folder: Path) -> str:
    """YAML, as printed; RuntimeError with kustomize's complaint."""
    done = subprocess.run([places.path_of("kubectl"), "kustomize", str(folder)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"kubectl kustomize {folder}: {done.stderr}")
    return done.stdout


def objects(kustomization: str) -> list[Object]:
    """The objects of one of our own, in kustomize's order."""
    return _parsed(text(MANIFESTS / kustomization))


def combined(resource: str, *components: str) -> list[Object]:
    """The objects of somebody's own kustomization, of one of ours and components in this order."""
    with tempfile.TemporaryDirectory() as own:
        first, *others = [os.path.relpath(MANIFESTS / folder, own) for folder in (resource, *components)]
        kustomization = yaml.safe_dump({"resources": [first], "components": others})
        Path(own, "kustomization.yaml").write_text(kustomization, encoding="utf-8")
        return _parsed(text(Path(own)))


def _parsed(rendered: str) -> list[Object]:
    # The loader in C reads dashboards and rules of a megabyte ten times as fast.
    return [document for document in yaml.load_all(rendered, Loader=yaml.CSafeLoader) if document]


def of_prometheus(found: list[Object]) -> dict[str, str]:
    """The files of Prometheus's configuration."""
    (config,) = [each for each in found if each["kind"] == "ConfigMap" and "prometheus.yml" in each["data"]]
    files: dict[str, str] = config["data"]
    return files


def name(found: Object) -> str:
    """To tell a reader which one is meant."""
    return f"{found['kind']}/{found['metadata'].get('namespace', '')}/{found['metadata']['name']}"


def pod_template(workload: Object) -> Object:
    """Of any kind that makes pods."""
    spec: Object = workload["spec"]
    if workload["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    template: Object = spec["template"]
    return template


def workloads(found: list[Object]) -> Iterator[Object]:
    """Those that make pods."""
    yield from (each for each in found if each["kind"] in WORKLOADS)


@cache
def everything() -> dict[str, Object]:
    """Each object that differs, by kustomization and name."""
    found = {}
    seen = set()
    for kustomization in KUSTOMIZATIONS:
        for each in objects(kustomization):
            if (shown := repr(each)) not in seen:
                seen.add(shown)
                found[f"{kustomization}: {name(each)}"] = each
    return found


def pods() -> Iterator[tuple[str, Object]]:
    """The `spec` of each pod that is made, and where it is."""
    for where, each in everything().items():
        for workload in workloads([each]):
            yield where, pod_template(workload)["spec"]


def containers() -> Iterator[tuple[str, Object]]:
    """Each container of these pods, and where it is."""
    for where, pod in pods():
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            yield f"{where}/{container['name']}", container
