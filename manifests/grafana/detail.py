"""The dashboard of one node, or of one of what another catalogue scores: its score, what made it, its features."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import AnnotationQuery, Dashboard, DashboardLink, DatasourceVariable

from manifests.grafana import store
from manifests.grafana.frame import (
    Panels,
    frame,
    one_of,
    page_link,
    pages_url,
    section,
    uid_of_one,
    values_of,
)
from manifests.grafana.panels import NONE_IS_GOOD, PROMETHEUS, SCORE_COLORS, Query, bars, graph, number, peak
from manifests.grafana.scored import Scored
from receiver import promql
from receiver.catalogue import Feature

FEATURES_A_ROW, FEATURE_HEIGHT = 4, 6
# Grafana's names of units, as panels show them: a counter's rate is by the second.
UNITS = {
    "percent": "percent",
    "share": "percentunit",
    "seconds": "s",
    "bytes": "bytes",
    "bytes/s": "Bps",
    "packets/s": "pps",
    "requests/s": "reqps",
    # As of an idle CPU: a plain number, of CPUs.
    "seconds/s": "none",
}


def dashboard(of: Scored) -> Dashboard:
    """The whole of it."""
    built = frame(
        uid_of_one(of),
        f"Nodescore / {of.one.capitalize()}",
        f"One {of.one}: its score, what made it, and the features behind it. Choose the time of an anomaly, then click "
        "a line of the score to say what it was.",
        "now-1h",
    )
    known = "anomaly_last_row_timestamp_seconds"
    # Where nothing has a cluster there is none to choose, and an empty one matches.
    built.with_variable(values_of("cluster", "Cluster", f"label_values({known}{{{of.matcher}}}, cluster)"))
    built.with_variable(
        values_of(of.one, of.one.capitalize(), f'label_values({known}{{cluster="$cluster",{of.matcher}}}, {of.one})')
    )
    if of.scraped:
        # As the catalogue names the entity: whichever of the labels its exporter's series have.
        built.with_variable(one_of("node_label", "Its label at the exporter", list(of.catalogue.node_labels)))
    built.with_variable(pages_url(of))
    built.with_variable(DatasourceVariable("timescale").label("TimescaleDB").type(store.TIMESCALE_TYPE))
    built.annotation(
        AnnotationQuery().name("Alert").datasource(PROMETHEUS).expr(_firing(of)).enable(True).icon_color("red")
    )
    section(built, _numbers(of))
    section(built, _score(of), "Score")
    section(built, _features(of), f"Features, as {'the exporter has' if of.scraped else 'Prometheus records'} them")
    built.with_row(store.row(of))
    return built


def _firing(of: Scored) -> str:
    return f'ALERTS{{alertname="{of.anomalous}",alertstate="firing",{of.chosen}}}'


def _to_page(of: Scored, title: str, page: str, more: str = "") -> DashboardLink:
    return page_link(of, title, f"{page}?node=${{{of.one}:percentencode}}&cluster=${{cluster:percentencode}}{more}")


def _say(of: Scored) -> DashboardLink:
    return _to_page(of, "Say what it was, from and until what is shown", "feedback", "&start=${__from}&end=${__to}")


def _numbers(of: Scored) -> Panels:
    return [
        number(
            "Score",
            "Of the last row. Over 1 is anomalous.",
            Query(f"max(anomaly_score{of.chosen_series})", "score"),
            "none",
            colors=SCORE_COLORS,
            none="not heard of",
            links=[_to_page(of, f"Open the {of.one} in Nodescore", "node")],
        ),
        number(
            "Alerts firing",
            f"Whether {of.anomalous} fires: 2 of the last 3 rows are over 1, and the {of.one} is not muted.",
            Query(f"count({_firing(of)}) or vector(0)", "alerts"),
            "short",
            colors=NONE_IS_GOOD,
            links=[_say(of)],
        ),
        number(
            "Over 1 since",
            "Since when all rows have been over 1. What is usual is not learnt meanwhile.",
            Query(f"round(min(anomaly_over_since_timestamp_seconds{of.chosen_series}) * 1000)", "since"),
            "dateTimeFromNow",
            none="it is not",
            links=[_to_page(of, "Say what it was, since then", "feedback", "&start=${__value.raw}&end=${__to}")],
        ),
        number(
            "Muted until",
            f"While a mute holds, the {of.one} raises no alert; scores and learning go on.",
            Query(f"max(anomaly_muted_until_timestamp_seconds{of.chosen_series}) * 1000", "until"),
            "dateTimeFromNow",
            none="it is not",
            links=[_to_page(of, "Mute its alerts for a while", "mute")],
        ),
        number(
            "Last row",
            "The time of the row that the score is of.",
            Query(f"max(anomaly_last_row_timestamp_seconds{of.chosen_series}) * 1000", "last row"),
            "dateTimeFromNow",
            none="not heard of",
        ),
        number(
            "Model",
            f"The version of the model that makes the scores of {of.many} now.",
            # Services of other catalogues, which the same Prometheus scrapes, have models of their own.
            Query(
                "max by (version) (anomaly_model_info == 1 and on (job, instance) "
                f"anomaly_last_row_timestamp_seconds{{{of.matcher}}})",
                "{{version}}",
            ),
            "short",
            named=True,
        ),
    ]


def _score(of: Scored) -> Panels:
    share = f"max by (feature) (anomaly_feature_contribution{of.chosen_series})"
    return [
        graph(
            "Score over time",
            "The highest score of each step; its median over the last rows, which the alert looks at; and what a "
            "candidate in the shadow would give, where there is one. The dashed line is the threshold.",
            [
                Query(f"max({peak(f'anomaly_score{of.chosen_series}')})", "score"),
                Query(f"max({of.one}:anomaly_score:recent_median{of.chosen_series})", "median of the last rows"),
                Query(f"max by (model) (anomaly_shadow_score{of.chosen_series})", "in the shadow: {{model}}"),
            ],
            "none",
            width=24,
            height=9,
            alarm=True,
            links=[_say(of), _to_page(of, f"Open the {of.one} in Nodescore", "node")],
        ),
        graph(
            "What made the score",
            "What each of the top features adds to the score, while it is over the contribution floor.",
            [Query(share, "{{feature}}")],
            "none",
            width=16,
            stacked=True,
            links=[_say(of)],
        ),
        bars(
            "What makes it now",
            "The same of the last row.",
            Query(f"sort_desc({share})", "{{feature}}"),
            "none",
            width=8,
        ),
    ]


def _features(of: Scored) -> Panels:
    # A Prometheus does not put its own external labels, such as the cluster, on what it scrapes or records; a store
    # behind several has them.
    label = "${node_label}" if of.scraped else of.label
    exprs = promql.expressions(of.catalogue, f'{label}="${of.one}",cluster=~"$cluster|"', "$__rate_interval")
    return [
        graph(
            feature.name,
            f"{feature.help}, in {feature.unit}{' a second' if feature.counter else ''}.",
            [Query(exprs[feature.name], f"{{{{{'instance' if of.scraped else of.label}}}}}")],
            _unit(feature),
            width=24 // FEATURES_A_ROW,
            height=FEATURE_HEIGHT,
            zero=feature.unit != "percent",
            links=[_say(of)],
        )
        for feature in of.catalogue.features
    ]


def _unit(feature: Feature) -> str:
    """Grafana's name of the unit; events that have none are counted by the second, things as they are."""
    shown = f"{feature.unit}/s" if feature.counter else feature.unit
    return UNITS.get(shown, "cps" if shown.endswith("/s") else "short")
