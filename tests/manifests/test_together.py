"""The components go together: in any order, and each with what it says that it needs."""

from __future__ import annotations

import fnmatch
import re
from itertools import pairwise
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from manifests.levels import LEVELS, Level
from receiver import catalogue, settings
from tests.manifests import generated
from tests.manifests.rendered import VERSIONS, combined, name, objects, of_prometheus, pod_template
from tests.promql import test_alerts

pytestmark = pytest.mark.real("kubectl")

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
