"""The alerts on single nodes, said of applications: `prometheus/application-alerts.yaml` as text.

In: `prometheus/alerts.yaml`. Out: its rules on one node with another label, other names, and the address of the
Nodescore that scores applications, whose HTTP paths and command line say `node` all the same. Raises ValueError where a
rule is not found. `make manifests` writes the file, and a test keeps it equal.
"""

from __future__ import annotations

import re
from pathlib import Path

NODE_ALERTS = Path(__file__).parent / "prometheus" / "alerts.yaml"
RULES = (
    "record: node:anomaly_score:recent_median",
    "alert: NodeAnomalous",
    "alert: NodeStaysAnomalous",
    # Drawn by a dashboard. What raises alerts where a node is gone has no place here: an application may end.
    "record: node:anomaly_last_row_timestamp_seconds:last_hour",
)
HEAD = """\
# Made of alerts.yaml by `make manifests`; edit that, or manifests/application_alerts.py.
# Alerts on the anomaly scores of applications. Load it beside alerts.yaml, and put the address at which the pages of
# their Nodescore are reached in the place of nodescore-applications.example:9201.
groups:
  - name: nodescore-applications
    rules:
"""
SAID_OF_APPLICATIONS = (
    # Neither in `--node` nor in `feedback?node=`.
    (r"(?<![-?])\bnode\b", "application"),
    (r"\bNode(?=[A-Z]|\b)", "Application"),
    (r"#node(?=[a-z])", "#application"),
    (r"\bnodescore\.example\b", "nodescore-applications.example"),
)


def text() -> str:
    """The whole file."""
    # An empty line stands between two rules; comments before a rule stay where they are.
    parts = re.split(r"\n\n|(?=^ {6}- )", NODE_ALERTS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    rules = {part.partition("\n")[0].removeprefix("      - "): part for part in parts}
    missing = [rule for rule in RULES if rule not in rules]
    if missing:
        raise ValueError(f"{NODE_ALERTS.name} has no {', '.join(missing)}")
    made = "\n\n".join(rules[rule].rstrip() for rule in RULES)
    for said, instead in SAID_OF_APPLICATIONS:
        made = re.sub(said, instead, made)
    return HEAD + made + "\n"
