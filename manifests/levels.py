"""What is scored beside nodes, applications and pods: their files, made of those on nodes and on applications.

In: `prometheus/alerts.yaml`, whose rules on one node are said of another level: another label, other names, and the
address of the Nodescore that scores it, whose HTTP paths and command line say `node` all the same. And the recording
rules and the catalogue of applications, which are said of one pod at a time. Out: for each file its text. Raises
ValueError where a rule is not found. `make manifests` writes the files, and a test keeps them equal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from receiver.promql import service_name

PROMETHEUS = Path(__file__).parent / "prometheus"
CATALOGUES = Path(__file__).parent.parent / "receiver"
NODE_ALERTS = PROMETHEUS / "alerts.yaml"
RULES_ON_ONE = (
    "record: node:anomaly_score:recent_median",
    "alert: NodeAnomalous",
    "alert: NodeStaysAnomalous",
    # Drawn by a dashboard. What raises alerts where a node is gone has no place here: applications and pods may end.
    "record: node:anomaly_last_row_timestamp_seconds:last_hour",
)


@dataclass(frozen=True)
class Level:
    """What one catalogue scores."""

    name: str  # of the catalogue, and the label of its scores
    scored: str  # matches its scores, and no other's

    @property
    def service(self) -> str:
        """The Nodescore that scores it."""
        return service_name(self.name)

    @property
    def alerts(self) -> Path:
        """Alert rules."""
        return PROMETHEUS / f"{self.name}-alerts.yaml"

    @property
    def rules(self) -> Path:
        """Recording rules that make its features on Kubernetes."""
        return PROMETHEUS / f"{self.name}-rules-kubernetes.yaml"

    @property
    def catalogue(self) -> Path:
        """Its features."""
        return CATALOGUES / f"{self.name}.toml"


APPLICATIONS = Level("application", 'application!=""')
# Who scrapes Nodescore may call its own pod so too, on every score; that name has no namespace before it.
PODS = Level("pod", 'pod=~".+/.+"')
LEVELS = (APPLICATIONS, PODS)

HEAD_OF_ALERTS = """\
# Made of alerts.yaml by `make manifests`; edit that, or manifests/levels.py.
# Alerts on the anomaly scores of {level.name}s. Load it beside alerts.yaml, and put the address at which the pages of
# their Nodescore are reached in the place of {level.service}.example:9201.
groups:
  - name: {level.service}
    rules:
"""

HEAD_OF_POD_RULES = """\
# Made of application-rules-kubernetes.yaml by `make manifests`; edit that, or manifests/levels.py.
# Features of pods on Kubernetes, as Nodescore's catalogue "pod" has them: a series for each pod and feature, all of one
# timestamp. Load it with `rule_files` in prometheus.yml, and let `remote_write` send the series that the catalogue
# names to the Nodescore of the pods.
#
# A pod is called NAMESPACE/NAME, whoever owns it. Only running pods count.
#
"""
NAMES_OF_PODS = """\
      # Each running pod by a name that no other has, beside those by which it is joined. While one kube-state-metrics
      # follows another, both are there: without max, every join below would fail as a whole.
      - record: pod:kube_pod_status_phase:namespaced_pod
        expr: |
          max by (cluster, namespace, pod, namespaced_pod) (
            label_join(kube_pod_status_phase{phase="Running"} == 1, "namespaced_pod", "/", "namespace", "pod")
          )
"""
HEAD_OF_POD_CATALOGUE = """\
# Made of application.toml by `make manifests`; edit that, or manifests/levels.py.
# Pods: each by itself what applications are together (manifests/prometheus/pod-rules-kubernetes.yaml;
# docs/applications.md).

"""
SAID_OF_PODS = (
    (r"\bpod:kube_pod_owner:application\b", "pod:kube_pod_status_phase:namespaced_pod"),
    (r"\bnodescore-applications\b", PODS.service),
    (r'^name = "application"', 'name = "pod"'),
    (r"\bapplication:", "pod:"),
    (r"\bapplication\b", "namespaced_pod"),
)


def alerts(level: Level) -> str:
    """The alerts on single nodes, said of a level."""
    # An empty line stands between two rules; comments before a rule stay where they are.
    parts = re.split(r"\n\n|(?=^ {6}- )", NODE_ALERTS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    rules = {part.partition("\n")[0].removeprefix("      - "): part for part in parts}
    missing = [rule for rule in RULES_ON_ONE if rule not in rules]
    if missing:
        raise ValueError(f"{NODE_ALERTS.name} has no {', '.join(missing)}")
    said = (
        ('{node!=""}', f"{{{level.scored}}}"),
        # Neither in `--node` nor in `feedback?node=`.
        (r"(?<![-?])\bnode\b", level.name),
        (r"\bNode(?=[A-Z]|\b)", level.name.capitalize()),
        (r"#node(?=[a-z])", f"#{level.name}"),
        (r"\bnodescore\.example\b", f"{level.service}.example"),
    )
    made = "\n\n".join(rules[rule].rstrip() for rule in RULES_ON_ONE)
    return HEAD_OF_ALERTS.format(level=level) + _said(made, said) + "\n"


def rules_of_pods() -> str:
    """The recording rules of applications, with each pod in the place of its application."""
    text = APPLICATIONS.rules.read_text(encoding="utf-8")
    scraped, group, rules = _cut(text, "# What is scraped", "groups:", "      # Containers alone")
    head, _, _ = group.partition("      # The owner")
    return HEAD_OF_POD_RULES + scraped + _said(head, SAID_OF_PODS) + NAMES_OF_PODS + "\n" + _said(rules, SAID_OF_PODS)


def catalogue_of_pods() -> str:
    """The catalogue of applications, of series that the pods' rules record."""
    (features,) = _cut(APPLICATIONS.catalogue.read_text(encoding="utf-8"), "name = ")
    return HEAD_OF_POD_CATALOGUE + _said(features, SAID_OF_PODS)


def _cut(text: str, *begins: str) -> list[str]:
    """The text from each of these beginnings to the next."""
    places = [text.find(f"\n{begin}") + 1 for begin in begins]
    if 0 in places or places != sorted(places):
        raise ValueError(f"not found, in this order: {', '.join(begins)}")
    return [text[at:until] for at, until in zip(places, [*places[1:], len(text)], strict=True)]


def _said(text: str, instead: tuple[tuple[str, str], ...]) -> str:
    for pattern, replacement in instead:
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    return text
