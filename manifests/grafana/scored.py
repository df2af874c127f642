"""What a pair of dashboards is about, an overview and one of a single node: nodes, or what else a catalogue scores.

In: a shipped catalogue, and the alert rules of `manifests/prometheus`, whose group for it is called after it. Out: its
words, the names of its dashboards and variables, and which series are its own. One Prometheus may have the scores of
several services; what tells them apart is the label that names what is scored, which is called as the catalogue is.
"""

from __future__ import annotations

from dataclasses import dataclass

import yaml

from manifests.levels import LEVELS, PROMETHEUS
from receiver import catalogue, promql
from receiver.catalogue import Catalogue


@dataclass(frozen=True)
class Scored:
    """The nodes, or what else is scored, as dashboards speak of them and ask for them."""

    catalogue: Catalogue
    overview: str  # the name of the dashboard of all of them
    matcher: str  # of their scores, and no other's

    @property
    def one(self) -> str:
        """One of them as a word; also the label of its score, a variable, and the dashboard of one."""
        return self.catalogue.name

    @property
    def many(self) -> str:
        """Several of them as a word."""
        return f"{self.one}s"

    @property
    def label(self) -> str:
        """What its features' series call one of them, where rules record them."""
        return self.catalogue.node_labels[0]

    @property
    def scraped(self) -> bool:
        """True where its features are made of what an exporter says, not of what rules record."""
        return bool(self.catalogue.target_labels)

    @property
    def all_series(self) -> str:
        """Matchers of the series of all in the clusters that are chosen."""
        return f'{{cluster=~"$cluster",{self.matcher}}}'

    @property
    def chosen(self) -> str:
        """What stands between the braces for the one that is chosen."""
        return f'cluster="$cluster",{self.one}="${self.one}"'

    @property
    def chosen_series(self) -> str:
        """Matchers of the series of the one that is chosen."""
        return f"{{{self.chosen}}}"

    @property
    def pages(self) -> str:
        """The variable of the address of its Nodescore's pages; links between dashboards carry variables along."""
        return promql.service_name(self.one).replace("-", "_")

    @property
    def placeholder_url(self) -> str:
        """As in the alerts' link: the address at which these pages are reached is put in its place."""
        return f"http://{promql.service_name(self.one)}.example:9201"

    @property
    def anomalous(self) -> str:
        """The name of the alert on one of them."""
        return f"{self.one.capitalize()}Anomalous"

    @property
    def alerts(self) -> tuple[str, ...]:
        """The names of all alerts on them that ship. Others' rules have names like these: all are spelled out."""
        documents = [
            yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(PROMETHEUS.glob("*alerts.yaml"))
        ]
        groups = {group["name"]: group["rules"] for document in documents for group in document["groups"]}
        return tuple(rule["alert"] for rule in groups[f"nodescore-{self.many}"] if "alert" in rule)


# The two files of a further level are a line each in kustomization.yaml and in components/grafana.
SCORED = (
    Scored(catalogue.load(), "fleet", 'node!=""'),
    *(Scored(catalogue.load(level.catalogue), f"{level.name}s", level.scored) for level in LEVELS),
)
