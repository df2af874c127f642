"""Every object that the manifests make is one that a cautious cluster lets in: what linters of manifests look for."""

from __future__ import annotations

import re

import pytest

from tests.manifests.rendered import (
    KUSTOMIZATIONS,
    containers,
    everything,
    name,
    objects,
    pod_template,
    pods,
    workloads,
)

pytestmark = pytest.mark.real("kubectl")

# Looks at the host, in a namespace of its own that lets it.
PRIVILEGED = "DaemonSet/node-exporter/node-exporter"


def test_no_image_can_change_under_its_name() -> None:
    for where, container in containers():
        assert re.fullmatch(r"[a-z0-9.-]+\.[a-z]+/[a-z0-9/_-]+:v?\d[\w.-]*", container["image"]), where


def test_every_container_says_what_it_needs_and_has_an_end() -> None:
    for where, container in containers():
        resources = container["resources"]
        assert resources["requests"].keys() == resources["limits"].keys() == {"cpu", "memory"}, where
    for where, pod in pods():
        for volume in pod.get("volumes", []):
            assert "emptyDir" not in volume or volume["emptyDir"]["sizeLimit"], f"{where}: {volume['name']}"
    for where, each in everything().items():
        if each["kind"] == "CronJob":
            job = each["spec"]["jobTemplate"]["spec"]
            assert {"activeDeadlineSeconds", "ttlSecondsAfterFinished", "backoffLimit"} <= job.keys(), where


def test_nothing_runs_as_root_or_can_become_it() -> None:
    for where, pod in pods():
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True, where
        assert security["runAsUser"] > 0, where
        assert security["runAsGroup"] > 0, where
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, where
        assert "sysctls" not in security, where
    for where, container in containers():
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
        }, where


def test_only_node_exporter_sees_its_host_and_its_namespace_alone_allows_it() -> None:
    seeing = {where for where, pod in pods() if pod.get("hostNetwork") or pod.get("hostPID") or pod.get("hostIPC")}
    mounting = {where for where, pod in pods() for volume in pod.get("volumes", []) if "hostPath" in volume}
    assert {where.split(": ")[1] for where in seeing | mounting} == {PRIVILEGED}
    for where, pod in pods():
        on_host = {volume["name"] for volume in pod.get("volumes", []) if "hostPath" in volume}
        for container in pod["containers"]:
            for mount in container.get("volumeMounts", []):
                assert mount["name"] not in on_host or mount["readOnly"], where
    levels = {
        each["metadata"]["name"]: each["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        for each in everything().values()
        if each["kind"] == "Namespace"
    }
    assert levels == {"nodescore": "restricted", "node-exporter": "privileged"}


def test_the_api_is_spoken_to_by_two_that_may_only_read_what_they_need() -> None:
    speaking = {where.split("/")[-1] for where, pod in pods() if pod["automountServiceAccountToken"]}
    assert speaking == {"prometheus", "kube-state-metrics"}
    ours = {each["metadata"]["name"] for each in everything().values() if each["kind"] == "ClusterRole"}
    for where, each in everything().items():
        assert each["kind"] != "ServiceAccount" or each["automountServiceAccountToken"] is False, where
        assert each["kind"] != "Role", where
        assert not each["kind"].endswith("RoleBinding") or each["roleRef"]["name"] in ours, where
    may = {
        (each["metadata"]["name"], resource, verb)
        for each in everything().values()
        if each["kind"] == "ClusterRole"
        for rule in each["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert may == {
        *(("nodescore-target-discovery", "pods", verb) for verb in ("get", "list", "watch")),
        *(("nodescore-kubelet-metrics", "nodes", verb) for verb in ("get", "list", "watch")),
        ("nodescore-kubelet-metrics", "nodes/metrics", "get"),
        *(
            ("nodescore-kube-state-metrics", kind, verb)
            for kind in ("pods", "replicasets", "jobs")
            for verb in ("list", "watch")
        ),
    }


def test_whatever_serves_is_probed_for_being_alive_and_ready() -> None:
    for where, container in containers():
        if "CronJob" not in where:
            assert container["livenessProbe"] != container.get("startupProbe"), where
            assert container["readinessProbe"], where


def test_no_secret_stands_in_an_object() -> None:
    assert [where for where, each in everything().items() if each["kind"] == "Secret"] == []
    secret = re.compile(r"password|token|secret|postgres(ql)?://", re.IGNORECASE)
    for where, container in containers():
        for variable in container.get("env", []):
            assert (
                "valueFrom" in variable
                or variable["name"].endswith("_FILE")
                or not secret.search(variable["name"] + variable["value"])
            ), f"{where}: {variable['name']}"


def test_every_object_says_its_namespace_which_is_not_the_default_one() -> None:
    of_the_cluster = {"Namespace", "ClusterRole", "ClusterRoleBinding"}
    for where, each in everything().items():
        namespace = each["metadata"].get("namespace")
        assert namespace is None if each["kind"] in of_the_cluster else namespace not in (None, "default"), where


def test_nothing_is_reached_from_outside_of_the_cluster() -> None:
    for where, each in everything().items():
        assert each["kind"] not in ("Ingress", "HTTPRoute"), where
        if each["kind"] == "Service":
            assert each["spec"].get("type", "ClusterIP") == "ClusterIP", where
            assert not each["spec"].get("externalIPs"), where
    for where, container in containers():
        if where.split(": ")[1].rpartition("/")[0] != PRIVILEGED:
            assert not any("hostPort" in port for port in container.get("ports", [])), where


def test_what_is_there_several_times_is_spread_and_leaves_one_at_a_time() -> None:
    several = set()
    for kustomization in KUSTOMIZATIONS:
        found = objects(kustomization)
        budgets = [each["spec"] for each in found if each["kind"] == "PodDisruptionBudget"]
        for workload in workloads(found):
            if workload["spec"].get("replicas", 1) == 1:
                continue
            several.add(f"{kustomization}: {name(workload)}")
            labels = pod_template(workload)["metadata"]["labels"]
            (spread,) = pod_template(workload)["spec"]["topologySpreadConstraints"]
            assert spread["topologyKey"] == "kubernetes.io/hostname", name(workload)
            assert spread["labelSelector"]["matchLabels"].items() <= labels.items(), name(workload)
            (budget,) = [each for each in budgets if each["selector"]["matchLabels"].items() <= labels.items()]
            assert budget["maxUnavailable"] == 1, name(workload)
    assert several == {
        "overlays/ha: StatefulSet/nodescore/prometheus",
        "overlays/sharded: StatefulSet/nodescore/nodescore",
    }


def test_traffic_is_refused_unless_a_policy_allows_it() -> None:
    (nothing,) = [each for each in objects("base") if name(each) == "NetworkPolicy/nodescore/nothing"]
    assert nothing["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
