"""The dashboard of all nodes: which of them are unusual, since when, why, and which are not heard of."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from manifests.grafana.frame import Panels, frame, node_link, page_link, pages_url, section, values_of
from manifests.grafana.panels import (
    NONE_IS_GOOD,
    SCORE_COLORS,
    Column,
    Query,
    buckets,
    graph,
    history,
    number,
    peak,
    rows,
)

# The scores of applications, where Prometheus has them too, have no node.
OF = '{cluster=~"$cluster",node!=""}'
BY = "by (cluster, node)"
# Two replicas may show a node for a moment: the larger value counts.
SCORE = f"max {BY} (anomaly_score{OF})"
PEAK = f"max {BY} ({peak(f'anomaly_score{OF}')})"
LAST_ROW = f"max {BY} (anomaly_last_row_timestamp_seconds{OF})"
LAST_HEARD = f"node:anomaly_last_row_timestamp_seconds:last_hour{OF}"
MUTED_UNTIL = f"max {BY} (anomaly_muted_until_timestamp_seconds{OF})"
SHARE = f"max by (cluster, node, feature) (anomaly_feature_contribution{OF})"
TOP = f"topk(20, {SCORE})"
IN_TOP = f"and on (cluster, node) {TOP}"
# The nodes whose score was highest at some time of what is shown: the same ones in every column.
HIGHEST = f"topk(%d, max {BY} (max_over_time(anomaly_score{OF}[$__range] @ end())))"
# Those on the service itself are on its own dashboard. Others' rules have names like these: all are spelled out.
NODE_ALERTS = ("NodeAnomalous", "NodeStaysAnomalous", "NodesAnomalousTogether", "NodeVanished", "ClusterVanished")
ALERTS = f'ALERTS{{alertname=~"{"|".join(NODE_ALERTS)}",alertstate="firing",cluster=~"$cluster"}}'
# All above the last bound are in one bucket.
BUCKETS_A_UNIT, LAST_BOUND = 4, 3

OPEN_NODE = node_link("${__field.labels.node}", "${__field.labels.cluster}")
OPEN_ROW = node_link("${__data.fields.Node}", "${__data.fields.Cluster}")
SAY_ROW = page_link("Open in Nodescore", "node?node=${__data.fields.Node}&cluster=${__data.fields.Cluster}")
NODE = [Column("cluster", "Cluster"), Column("node", "Node", links=[OPEN_ROW, SAY_ROW])]


def dashboard() -> Dashboard:
    """The whole of it."""
    built = frame(
        "nodescore-fleet",
        "Nodescore / Fleet",
        "Which nodes behave anomalously, since when and why. A score over 1 is an alarm.",
        "now-3h",
    )
    built.with_variable(
        values_of(
            "cluster", "Cluster", 'label_values(anomaly_last_row_timestamp_seconds{node!=""}, cluster)', several=True
        )
    )
    built.with_variable(pages_url())
    section(built, _numbers())
    section(built, _nodes(), "Nodes")
    section(built, _alerts(), "Alerts")
    return built


def _numbers() -> Panels:
    return [
        number(
            "Nodes scored",
            "Nodes whose last row is not older than the staleness limit, 5 minutes.",
            Query(f"count({SCORE})", "nodes"),
            "short",
        ),
        number(
            "Over the threshold",
            "Nodes whose last score is over 1. An alert takes 2 of a node's last 3 rows.",
            Query(f"count({SCORE} > 1) or vector(0)", "nodes"),
            "short",
            colors=NONE_IS_GOOD,
        ),
        number(
            "Alerts firing",
            "Alerts on nodes and clusters that fire in Prometheus now; muted nodes have none.",
            Query(f"count({ALERTS}) or vector(0)", "alerts"),
            "short",
            colors=NONE_IS_GOOD,
        ),
        number(
            "Muted",
            "Nodes whose alerts somebody keeps quiet for a while. Their scores go on.",
            Query(f"count({MUTED_UNTIL} > time()) or vector(0)", "nodes"),
            "short",
        ),
        number(
            "Not heard of",
            "Nodes that had a row within the last hour and have no score now.",
            Query(f"count({LAST_HEARD} unless on (cluster, node) {SCORE}) or vector(0)", "nodes"),
            "short",
            colors=NONE_IS_GOOD,
        ),
        number(
            "Oldest score",
            "How old the last row of the node is that was heard of least lately.",
            Query(f"time() - min({LAST_ROW})", "age"),
            "s",
            colors={None: "green", 120: "yellow", 300: "red"},
        ),
    ]


def _nodes() -> Panels:
    bounds = f"clamp_max(ceil({SCORE} * {BUCKETS_A_UNIT}) / {BUCKETS_A_UNIT}, {LAST_BOUND})"
    return [
        rows(
            "Nodes by score",
            "The 20 nodes with the highest score now: since when all their rows have been over 1, and the feature that "
            "adds most to the score, for nodes over the contribution floor. A node's name leads to its dashboard.",
            [
                TOP,
                f"time() - min {BY} (anomaly_over_since_timestamp_seconds{OF}) {IN_TOP}",
                f"topk {BY} (1, {SHARE}) {IN_TOP}",
                f"{MUTED_UNTIL} * 1000 {IN_TOP}",
            ],
            [
                *NODE,
                Column("Value #A", "Score", "none", SCORE_COLORS),
                Column("Value #B", "Over 1 for", "s"),
                Column("feature", "Top feature"),
                Column("Value #C", "Its part", "none"),
                Column("Value #D", "Muted until", "dateTimeFromNow"),
            ],
            sort="Score",
            width=14,
        ),
        graph(
            "Highest scores",
            "The 10 nodes whose score was highest within the time that is shown. The dashed line is the threshold.",
            [Query(f"{PEAK} and on (cluster, node) {HIGHEST % 10}", "{{cluster}} {{node}}")],
            "none",
            width=10,
            height=10,
            alarm=True,
            links=[OPEN_NODE],
        ),
        history(
            "Scores of nodes",
            "A line for each of the 40 nodes whose score was highest within the time that is shown; red is over the "
            "threshold. The same red column in many lines has one cause.",
            Query(f"{PEAK} and on (cluster, node) {HIGHEST % 40}", "{{cluster}} {{node}}"),
            "none",
            links=[OPEN_NODE],
        ),
        buckets(
            "Scores of all nodes",
            f"How many nodes have a score up to each bound; the uppermost bucket has all above {LAST_BOUND} too. "
            "A fleet that moves up as a whole has changed its work, or its model no longer fits.",
            Query(f'count_values("bound", {bounds})', "{{bound}}"),
            "none",
        ),
        graph(
            "Features that make scores",
            "What each feature adds to the scores of all nodes over the contribution floor: the 10 largest now. "
            "One feature on many nodes has one cause.",
            [Query(f"topk(10, sum by (feature) ({SHARE}))", "{{feature}}")],
            "none",
            stacked=True,
        ),
    ]


def _alerts() -> Panels:
    return [
        rows(
            "Alerts that fire",
            "As Prometheus has them, before any silence of Alertmanager. What Nodescore says of a node, and the form "
            "that takes what it was, are behind its name.",
            [ALERTS],
            [Column("alertname", "Alert"), Column("severity", "Severity"), *NODE],
            height=8,
        ),
        rows(
            "Nodes not heard of",
            "Nodes that had a row within the last hour and have no score now: gone, or without exporter, or renamed.",
            [f"({LAST_HEARD} unless on (cluster, node) {SCORE}) * 1000"],
            [*NODE, Column("Value #A", "Last row", "dateTimeFromNow")],
            height=8,
        ),
    ]
