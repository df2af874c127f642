"""The dashboard of one node: its score, what made it, and the features behind it."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import AnnotationQuery, Dashboard, DatasourceVariable

from manifests.grafana import store
from manifests.grafana.frame import (
    CHOSEN_NODE,
    NODE_UID,
    Panels,
    frame,
    one_of,
    page_link,
    pages_url,
    section,
    values_of,
)
from manifests.grafana.panels import NONE_IS_GOOD, PROMETHEUS, SCORE_COLORS, Query, bars, graph, number, peak
from receiver import catalogue, promql
from receiver.catalogue import Feature

OF = '{cluster="$cluster",node="$node"}'
ALERT = 'ALERTS{alertname="NodeAnomalous",alertstate="firing",cluster="$cluster",node="$node"}'
# A Prometheus does not put its own external labels, such as the cluster, on what it scrapes; a store behind several
# has them.
OF_EXPORTER = '${node_label}="$node",cluster=~"$cluster|"'
FEATURES_A_ROW, FEATURE_HEIGHT = 4, 6
# Of a gauge, and of a counter's rate a second.
UNITS = {"percent": "percent", "bytes": "bytes"}
RATE_UNITS = {"bytes": "Bps", "packets": "pps"}

SAY = page_link(
    "Say what it was, from and until what is shown", f"feedback?{CHOSEN_NODE}&start=${{__from}}&end=${{__to}}"
)
SAY_SINCE = page_link("Say what it was, since then", f"feedback?{CHOSEN_NODE}&start=${{__value.raw}}&end=${{__to}}")
OPEN = page_link("Open the node in Nodescore", f"node?{CHOSEN_NODE}")
MUTE = page_link("Mute its alerts for a while", f"mute?{CHOSEN_NODE}")


def dashboard() -> Dashboard:
    """The whole of it."""
    built = frame(
        NODE_UID,
        "Nodescore / Node",
        "One node: its score, what made it, and the features behind it. Choose the time of an anomaly, then click a "
        "line of the score to say what it was.",
        "now-1h",
    )
    known = "anomaly_last_row_timestamp_seconds"
    # Where no node has a cluster there is none to choose, and an empty one matches them.
    built.with_variable(values_of("cluster", "Cluster", f'label_values({known}{{node!=""}}, cluster)'))
    built.with_variable(values_of("node", "Node", f'label_values({known}{{cluster="$cluster"}}, node)'))
    # As the catalogue names the entity: whichever of the labels its exporter's series have.
    built.with_variable(one_of("node_label", "Its label at node_exporter", list(catalogue.load().node_labels)))
    built.with_variable(pages_url())
    built.with_variable(DatasourceVariable("timescale").label("TimescaleDB").type(store.TIMESCALE_TYPE))
    built.annotation(AnnotationQuery().name("Alert").datasource(PROMETHEUS).expr(ALERT).enable(True).icon_color("red"))
    section(built, _numbers())
    section(built, _score(), "Score")
    section(built, _features(), "Features, as node_exporter has them")
    built.with_row(store.row())
    return built


def _numbers() -> Panels:
    return [
        number(
            "Score",
            "Of the last row. Over 1 is anomalous.",
            Query(f"max(anomaly_score{OF})", "score"),
            "none",
            colors=SCORE_COLORS,
            none="not heard of",
            links=[OPEN],
        ),
        number(
            "Alerts firing",
            "Whether NodeAnomalous fires: 2 of the last 3 rows are over 1, and the node is not muted.",
            Query(f"count({ALERT}) or vector(0)", "alerts"),
            "short",
            colors=NONE_IS_GOOD,
            links=[SAY],
        ),
        number(
            "Over 1 since",
            "Since when all rows have been over 1. What is usual on the node is not learnt meanwhile.",
            Query(f"round(min(anomaly_over_since_timestamp_seconds{OF}) * 1000)", "since"),
            "dateTimeFromNow",
            none="it is not",
            links=[SAY_SINCE],
        ),
        number(
            "Muted until",
            "While a mute holds, the node raises no alert; scores and learning go on.",
            Query(f"max(anomaly_muted_until_timestamp_seconds{OF}) * 1000", "until"),
            "dateTimeFromNow",
            none="it is not",
            links=[MUTE],
        ),
        number(
            "Last row",
            "When the row was scraped that the score is of.",
            Query(f"max(anomaly_last_row_timestamp_seconds{OF}) * 1000", "last row"),
            "dateTimeFromNow",
            none="not heard of",
        ),
        number(
            "Model",
            "The version of the model that makes the scores now.",
            Query("max by (version) (anomaly_model_info) == 1", "{{version}}"),
            "short",
            named=True,
        ),
    ]


def _score() -> Panels:
    share = f"max by (feature) (anomaly_feature_contribution{OF})"
    return [
        graph(
            "Score over time",
            "The highest score of each step; its median over the last rows, which the alert looks at; and what a "
            "candidate in the shadow would give, where there is one. The dashed line is the threshold.",
            [
                Query(f"max({peak(f'anomaly_score{OF}')})", "score"),
                Query(f"max(node:anomaly_score:recent_median{OF})", "median of the last rows"),
                Query(f"max by (model) (anomaly_shadow_score{OF})", "in the shadow: {{model}}"),
            ],
            "none",
            width=24,
            height=9,
            alarm=True,
            links=[SAY, OPEN],
        ),
        graph(
            "What made the score",
            "What each of the top features adds to the score, while it is over the contribution floor.",
            [Query(share, "{{feature}}")],
            "none",
            width=16,
            stacked=True,
            links=[SAY],
        ),
        bars(
            "What makes it now",
            "The same of the last row.",
            Query(f"sort_desc({share})", "{{feature}}"),
            "none",
            width=8,
        ),
    ]


def _features() -> Panels:
    wanted = catalogue.load()
    exprs = promql.expressions(wanted, OF_EXPORTER, "$__rate_interval")
    return [
        graph(
            feature.name,
            _described(feature),
            [Query(exprs[feature.name], "{{instance}}")],
            _unit(feature),
            width=24 // FEATURES_A_ROW,
            height=FEATURE_HEIGHT,
            zero=feature.unit != "percent",
            links=[SAY],
        )
        for feature in wanted.features
    ]


def _described(feature: Feature) -> str:
    return f"{feature.help}, in {feature.unit}{' a second' if feature.counter else ''}."


def _unit(feature: Feature) -> str:
    """Grafana's name of the unit."""
    if feature.counter:
        # Seconds a second, as of an idle CPU, are a plain number: of CPUs.
        return "none" if feature.unit == "seconds" else RATE_UNITS.get(feature.unit, "cps")
    return UNITS.get(feature.unit, "short")
