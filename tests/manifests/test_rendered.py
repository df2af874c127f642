"""Every object that the manifests make is one that Kubernetes takes, and refers to what is there."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from typing import Any

import kubernetes_validate
import pytest
import yaml

from receiver.settings import ENVIRONMENT_PREFIX, Settings
from tests.manifests import generated
from tests.manifests.rendered import (
    KUSTOMIZATIONS,
    VERSIONS,
    containers,
    everything,
    name,
    objects,
    pod_template,
    pods,
    workloads,
)

pytestmark = pytest.mark.real("kubectl")

# No schema of Kubernetes's own has them.
OPERATORS = "monitoring.coreos.com/v1"


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_valid_for_kubernetes(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Or it would read a megabyte of definitions for each object.
    monkeypatch.setattr(kubernetes_validate.utils, "schema_contents", cache(kubernetes_validate.utils.schema_contents))
    for where, each in everything().items():
        if each["apiVersion"] == OPERATORS:
            continue
        try:
            kubernetes_validate.validate(each, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            pytest.fail(f"{where}: {'.'.join(map(str, error.path))}: {error.message}")


@pytest.mark.parametrize("kustomization", KUSTOMIZATIONS)
def test_whatever_is_referred_to_is_there(kustomization: str) -> None:
    found = objects(kustomization)
    there = {(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in found}
    secrets_of_the_operator = {"nodescore-store", "grafana"}
    for each in found:
        namespace = each["metadata"].get("namespace")
        assert namespace is None or ("Namespace", None, namespace) in there, name(each)
        for subject in each.get("subjects", []):
            assert (subject["kind"], subject["namespace"], subject["name"]) in there, name(each)
        if each["kind"] == "StatefulSet":
            assert ("Service", namespace, each["spec"]["serviceName"]) in there
        for workload in workloads([each]):
            pod = pod_template(workload)["spec"]
            assert ("ServiceAccount", namespace, pod["serviceAccountName"]) in there
            mounted = {mount["name"] for container in pod["containers"] for mount in container.get("volumeMounts", [])}
            claimed = {claim["metadata"]["name"] for claim in each["spec"].get("volumeClaimTemplates", [])}
            volumes = pod.get("volumes", [])
            assert mounted == claimed | {volume["name"] for volume in volumes}, name(each)
            sources = [source for volume in volumes for source in volume.get("projected", {}).get("sources", [])]
            for volume in [*volumes, *sources]:
                if "configMap" in volume:
                    assert ("ConfigMap", namespace, volume["configMap"]["name"]) in there
                if "secret" in volume:
                    assert volume["secret"]["secretName"] in secrets_of_the_operator


def test_a_selector_finds_the_pods_that_it_means() -> None:
    for kustomization in KUSTOMIZATIONS:
        found = objects(kustomization)
        labels = [
            (each["metadata"]["namespace"], pod_template(each)["metadata"]["labels"]) for each in workloads(found)
        ]
        for each in found:
            if each["kind"] == "Service":
                selector = each["spec"]["selector"]
            elif each["kind"] == "PodDisruptionBudget":
                selector = each["spec"]["selector"]["matchLabels"]
            elif each["kind"] == "NetworkPolicy":
                selector = each["spec"]["podSelector"].get("matchLabels", {})
            else:
                continue
            namespace = each["metadata"]["namespace"]
            assert any(where == namespace and selector.items() <= of.items() for where, of in labels), name(each)


def test_each_service_and_each_controller_takes_the_pods_of_one_workload() -> None:
    for kustomization in KUSTOMIZATIONS:
        found = objects(kustomization)
        for each in found:
            selector = each["spec"]["selector"] if each["kind"] == "Service" else None
            if each["kind"] in ("StatefulSet", "Deployment", "DaemonSet"):
                selector = each["spec"]["selector"]["matchLabels"]
            if selector is not None:
                labels = [pod_template(workload)["metadata"]["labels"] for workload in workloads(found)]
                assert sum(selector.items() <= of.items() for of in labels) == 1, f"{kustomization}: {name(each)}"


def test_a_probe_and_a_service_find_the_port_that_they_name() -> None:
    for where, container in containers():
        ports = {port["name"] for port in container.get("ports", [])}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            for kind in ("httpGet", "tcpSocket"):
                asked = container.get(probe, {}).get(kind)
                assert asked is None or asked["port"] in ports, f"{where}: {probe}"
    for kustomization in KUSTOMIZATIONS:
        found = objects(kustomization)
        for service in (each for each in found if each["kind"] == "Service"):
            (pod,) = [
                pod_template(each)["spec"]
                for each in workloads(found)
                if service["spec"]["selector"].items() <= pod_template(each)["metadata"]["labels"].items()
            ]
            ports = {port["name"] for container in pod["containers"] for port in container.get("ports", [])}
            assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports, name(service)


def test_a_variable_that_the_service_would_refuse_is_not_set() -> None:
    """Kubernetes itself would set NODESCORE_SERVICE_HOST and others for a service of that name."""
    for where, pod in pods():
        assert pod["enableServiceLinks"] is False, where
    for where, container in containers():
        given = [variable["name"] for variable in container.get("env", [])]
        assert len(given) == len(set(given)), where
        for variable in container.get("env", []):
            if variable["name"].startswith(ENVIRONMENT_PREFIX):
                setting = variable["name"].removeprefix(ENVIRONMENT_PREFIX).lower()
                assert setting in Settings.model_fields, f"{where}: {variable['name']}"


def test_the_disk_budget_leaves_room_on_the_volume() -> None:
    (stateful,) = [each for each in objects("base") if each["kind"] == "StatefulSet"]
    (container,) = pod_template(stateful)["spec"]["containers"]
    environment = {each["name"]: each["value"] for each in container["env"]}
    (claim,) = stateful["spec"]["volumeClaimTemplates"]
    gibibytes = int(claim["spec"]["resources"]["requests"]["storage"].removesuffix("Gi"))
    assert int(environment["NODESCORE_MAX_DISK_BYTES"]) <= 0.8 * gibibytes * 1024**3


def test_no_object_is_too_large_for_what_kubectl_notes_on_it() -> None:
    most_bytes = 256 * 1024
    for where, each in everything().items():
        assert len(json.dumps(json.dumps(each))) < most_bytes, where


@pytest.mark.parametrize("path", sorted(generated.files()), ids=lambda path: str(path.relative_to(generated.ROOT)))
def test_what_is_made_of_the_catalogue_and_the_rules_is_up_to_date(path: Any) -> None:
    assert path.read_text(encoding="utf-8") == generated.files()[path], "run `make manifests`"


def test_the_compose_file_runs_the_images_that_the_manifests_run_and_mounts_what_is_there() -> None:
    services = yaml.safe_load((generated.ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    images = {container["image"] for _, container in containers()}
    assert {service["image"] for service in services.values()} - images == {"nodescore"}
    for service in services.values():
        for volume in service.get("volumes", []):
            if volume.startswith("./"):
                assert (generated.ROOT / volume.split(":")[0]).is_file(), volume


@pytest.mark.real("podman")
def test_the_compose_file_is_one_to_who_runs_such_files() -> None:
    config = [sys.executable, "-m", "podman_compose", f"--file={generated.ROOT / 'compose.yaml'}", "config"]
    done = subprocess.run(config, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    understood = yaml.safe_load(done.stdout)["services"]
    # Each takes what all have in common, with what is its own.
    assert {name for name, service in understood.items() if service.get("read_only")} == understood.keys() - {
        "timescaledb"
    }
    assert understood["nodescore"]["volumes"] == ["nodescore:/data"]
