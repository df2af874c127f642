"""Every object that the manifests make is one that Kubernetes takes, and components go together as they say."""

from __future__ import annotations

import fnmatch
import json
import re
import subprocess
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from manifests.levels import LEVELS, Level
from receiver import catalogue, settings
from receiver.settings import ENVIRONMENT_PREFIX, Settings
from tests.manifests import generated
from tests.manifests.rendered import (
    KUSTOMIZATIONS,
    combined,
    containers,
    everything,
    name,
    objects,
    of_prometheus,
    pod_template,
    pods,
    workloads,
)
from tests.promql import test_alerts

pytestmark = pytest.mark.real("kubectl")

# manifests/README.md names the first and the last.
VERSIONS = [f"1.{minor}" for minor in range(29, 38)]
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


def test_tls_and_permissions_come_from_a_secret() -> None:
    (stateful,) = [each for each in combined("base", "components/web-config") if each["kind"] == "StatefulSet"]
    kubernetes_validate.validate(stateful, VERSIONS[-1], strict=True)
    pod = pod_template(stateful)["spec"]
    (container,) = pod["containers"]
    assert {"name": "NODESCORE_WEB_CONFIG", "value": "/etc/nodescore/web/web.yml"} in container["env"]
    assert {"web-config"} == {volume["name"] for volume in pod["volumes"] if "secret" in volume}
    assert {container[probe]["httpGet"]["scheme"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")} == {
        "HTTPS"
    }


@pytest.mark.parametrize("path", sorted(generated.files()), ids=lambda path: str(path.relative_to(generated.ROOT)))
def test_what_is_made_of_the_catalogue_and_the_rules_is_up_to_date(path: Any) -> None:
    assert path.read_text(encoding="utf-8") == generated.files()[path], "run `make manifests`"


# What sends applications to their Nodescore, beside what sends nodes.
TO_APPLICATIONS = tuple(
    f"components/{name}"
    for name in (
        "kube-state-metrics",
        "container-metrics",
        "applications",
        "applications/prometheus",
        "applications/timescaledb",
        "applications/retraining",
    )
)
STACKS = {
    "complete": ("overlays/complete",),
    "sharded": ("overlays/sharded",),
    "applications": ("overlays/applications",),
    "unverified": ("overlays/applications", "components/container-metrics/unverified-kubelets"),
    "sharded, applications": ("overlays/sharded", *TO_APPLICATIONS),
    "applications, sharded": ("overlays/applications", "components/sharded"),
    "applications, pods": (
        "overlays/applications",
        *(f"components/pods{more}" for more in ("", "/prometheus", "/timescaledb", "/retraining")),
    ),
}
BESIDE_NODES = pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.name)


@pytest.mark.parametrize("stack", ["sharded", "sharded, applications", "applications, sharded"])
def test_each_shard_takes_the_nodes_that_no_other_takes(stack: str) -> None:
    found = combined(*STACKS[stack])
    replicas = {name(each): each["spec"]["replicas"] for each in found if each["kind"] == "StatefulSet"}
    assert replicas.pop("StatefulSet/nodescore/nodescore") == generated.SHARDS
    assert set(replicas.values()) == {1}
    remote_writes = yaml.safe_load(of_prometheus(found)["prometheus.yml"])["remote_write"]
    kept = {
        each["url"]: rule["regex"]
        for each in remote_writes
        for rule in each["write_relabel_configs"]
        if rule.get("source_labels") == ["__tmp_shard"]
    }
    assert kept == {
        f"http://nodescore-{number}.nodescore-replicas:9201/api/v1/write": str(number)
        for number in range(generated.SHARDS)
    }
    others = {each["url"] for each in remote_writes} - kept.keys()
    assert others == ({"http://nodescore-applications:9201/api/v1/write"} if "applications" in stack else set())


@pytest.mark.real("promtool")
@pytest.mark.parametrize("stack", STACKS)
def test_prometheus_takes_its_configuration(stack: str, tmp_path: Path) -> None:
    files = of_prometheus(combined(*STACKS[stack]))
    whole = yaml.safe_load(files.pop("prometheus.yml"))
    # promtool does not look into these.
    (included,) = whole.pop("scrape_config_files")
    for file, text in files.items():
        assert fnmatch.fnmatch(f"/etc/prometheus/{file}", included)
        whole["scrape_configs"] += yaml.safe_load(text)["scrape_configs"]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(whole), encoding="utf-8")
    # The token of a service account is not here.
    test_alerts.promtool("check", "config", "--syntax-only", tmp_path / "prometheus.yml")


@pytest.mark.real("promtool")
def test_prometheus_takes_its_configuration_on_a_laptop() -> None:
    test_alerts.promtool("check", "config", "--syntax-only", generated.MANIFESTS / "compose" / "prometheus.yml")


def test_a_kubelet_gets_the_token_where_the_clusters_authority_vouches_for_it_unless_that_is_chosen() -> None:
    checked = {
        stack: yaml.safe_load(of_prometheus(combined(*STACKS[stack]))["scrape-containers.yml"])["scrape_configs"][0][
            "tls_config"
        ]
        for stack in ("applications", "unverified")
    }
    assert checked == {
        "applications": {"ca_file": f"{generated.ACCOUNT}/ca.crt"},
        "unverified": {"insecure_skip_verify": True},
    }


@BESIDE_NODES
def test_the_nodescore_of_a_level_is_the_base_under_another_name_with_another_catalogue(level: Level) -> None:
    found = {name(each): each for each in combined("base", f"components/{level.name}s")}
    (base,) = [each for each in objects("base") if each["kind"] == "StatefulSet"]
    made = found[f"StatefulSet/nodescore/{level.service}"]
    (ours,), (its,) = (pod_template(each)["spec"].pop("containers") for each in (base, made))
    environment = its.pop("env")
    assert environment == [*ours.pop("env"), {"name": "NODESCORE_CATALOGUE", "value": level.name}]
    taken = settings.load({}, environment={each["name"]: each["value"] for each in environment})
    assert taken.catalogue == level.catalogue
    assert its == ours
    assert pod_template(made)["spec"].pop("serviceAccountName") == level.service
    del pod_template(base)["spec"]["serviceAccountName"]
    assert pod_template(made)["spec"] == pod_template(base)["spec"]
    assert made["spec"]["serviceName"] == f"nodescore-replicas-{level.name}s"
    assert {f"Service/nodescore/{level.service}", f"PodDisruptionBudget/nodescore/{level.service}"} <= set(found)


@BESIDE_NODES
def test_a_levels_model_is_retrained_of_the_store_that_its_nodescore_fills(level: Level) -> None:
    found = {name(each): each for each in combined(*STACKS["applications, pods"])}
    (its,) = pod_template(found[f"StatefulSet/nodescore/{level.service}"])["spec"]["containers"]
    jobs = [found[f"CronJob/nodescore/nodescore-retraining{suffix}"]["spec"] for suffix in ("", f"-{level.name}s")]
    of_nodes, of_level = (job["jobTemplate"]["spec"] for job in jobs)
    pods = [job["template"].pop("spec") for job in (of_nodes, of_level)]
    (its_nodes,), (its_own,) = (pod.pop("containers") for pod in pods)
    for variable in ("NODESCORE_CATALOGUE", "NODESCORE_STORE"):
        (given,) = [each for each in its["env"] if each["name"] == variable]
        assert given in its_own["env"]
    its_own["env"].remove({"name": "NODESCORE_CATALOGUE", "value": level.name})
    assert its_own == its_nodes
    assert [pod.pop("serviceAccountName") for pod in pods] == ["nodescore", level.service]
    assert pods[0] == pods[1]
    del of_nodes["template"]["metadata"], of_level["template"]["metadata"]
    assert of_level == of_nodes


def test_models_are_retrained_one_after_the_other() -> None:
    jobs = [each["spec"] for each in combined(*STACKS["applications, pods"]) if each["kind"] == "CronJob"]
    assert len(jobs) == 1 + len(LEVELS)
    starts = sorted(int(minute) + 60 * int(hour) for minute, hour, *_ in (job["schedule"].split() for job in jobs))
    longest = max(job["jobTemplate"]["spec"]["activeDeadlineSeconds"] for job in jobs) / 60
    assert all(later - earlier > longest for earlier, later in pairwise(starts))


def test_prometheus_sends_what_the_rules_record_of_a_level_to_its_nodescore_alone() -> None:
    found = combined(*STACKS["applications, pods"])
    (rules,) = [each["data"] for each in found if each["metadata"]["name"].startswith("nodescore-rules")]
    recorded = {
        rule["record"]
        for file in rules.values()
        for group in yaml.safe_load(file)["groups"]
        for rule in group["rules"]
        if "record" in rule
    }
    kept = {
        each["url"]: {metric for metric in recorded if re.fullmatch(each["write_relabel_configs"][0]["regex"], metric)}
        for each in yaml.safe_load(of_prometheus(found)["prometheus.yml"])["remote_write"]
    }
    of_levels = {
        f"http://{level.service}:9201/api/v1/write": set(catalogue.load(level.catalogue).terms_of_metric)
        for level in LEVELS
    }
    assert kept == {"http://nodescore:9201/api/v1/write": set()} | of_levels


@BESIDE_NODES
def test_the_rules_on_a_level_reach_the_operator_too(level: Level) -> None:
    folder = f"components/{level.name}s"
    components = [f"{folder}{more}" for more in ("", "/prometheus-operator", "/timescaledb", "/retraining")]
    found = {name(each): each for each in combined("overlays/operator", *components)}
    assert f"StatefulSet/nodescore/{level.service}" in found
    groups = found[f"PrometheusRule/nodescore/{level.service}"]["spec"]["groups"]
    assert [group["name"] for group in groups] == [level.service, f"{level.service}-on-kubernetes"]


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
