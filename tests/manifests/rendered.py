"""What kustomize makes of the manifests: the objects that `kubectl apply --kustomize` sends."""

from __future__ import annotations

import subprocess
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
    # The loader in C reads dashboards and rules of a megabyte ten times as fast.
    documents = yaml.load_all(text(MANIFESTS / kustomization), Loader=yaml.CSafeLoader)
    return [document for document in documents if document]


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
