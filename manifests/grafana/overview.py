"""The dashboard of all nodes, or all that another catalogue scores: who is unusual, why, since when, who is gone."""

from __future__ import annotations

from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.builders.dashboard import Dashboard

from manifests.grafana.frame import TAG, Panels, frame, link_to_one, page_link, pages_url, section, values_of
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
from manifests.grafana.scored import Scored

# All above the last bound are in one bucket.
BUCKETS_A_UNIT, LAST_BOUND = 4, 3


def dashboard(of: Scored) -> Dashboard:
    """The whole of it."""
    built = frame(
        f"{TAG}-{of.overview}",
        f"Nodescore / {of.overview.capitalize()}",
        f"Which {of.many} behave anomalously, since when and why. A score over 1 is an alarm.",
        "now-3h",
    )
    known = f"anomaly_last_row_timestamp_seconds{{{of.matcher}}}"
    built.with_variable(values_of("cluster", "Cluster", f"label_values({known}, cluster)", several=True))
    built.with_variable(pages_url(of))
    section(built, _numbers(of))
    section(built, _scores(of), of.many.capitalize())
    section(built, _alerts(of), "Alerts")
    return built


def _largest(of: Scored, series: str, *by: str) -> str:
    """Of each, and by more labels: two replicas may show one for a moment, and the larger value counts."""
    return f"max by ({', '.join(('cluster', of.one, *by))}) ({series})"


def _score(of: Scored) -> str:
    return _largest(of, f"anomaly_score{of.all_series}")


def _muted_until(of: Scored) -> str:
    return _largest(of, f"anomaly_muted_until_timestamp_seconds{of.all_series}")


def _share(of: Scored) -> str:
    """What each feature adds to the score of each."""
    return _largest(of, f"anomaly_feature_contribution{of.all_series}", "feature")


def _highest(of: Scored, count: int) -> str:
    """The scores over time of those that had the highest ones at some time of what is shown."""
    highest = f"topk({count}, {_largest(of, f'max_over_time(anomaly_score{of.all_series}[$__range] @ end())')})"
    return f"{_largest(of, peak(f'anomaly_score{of.all_series}'))} and on (cluster, {of.one}) {highest}"


def _gone(of: Scored) -> str:
    last_heard = f"{of.one}:anomaly_last_row_timestamp_seconds:last_hour{of.all_series}"
    return f"{last_heard} unless on (cluster, {of.one}) {_score(of)}"


def _firing(of: Scored) -> str:
    """Alerts on the service itself are on its own dashboard."""
    return f'ALERTS{{alertname=~"{"|".join(of.alerts)}",alertstate="firing",cluster=~"$cluster"}}'


def _columns(of: Scored) -> list[Column]:
    """Whose line it is."""
    name, cluster = f"${{__data.fields.{of.one.capitalize()}}}", "${__data.fields.Cluster}"
    links = [
        link_to_one(of, name, cluster),
        page_link(of, "Open in Nodescore", f"node?node={name}&cluster={cluster}"),
    ]
    return [Column("cluster", "Cluster"), Column(of.one, of.one.capitalize(), links=links)]


def _numbers(of: Scored) -> Panels:
    many, score = of.many, _score(of)
    return [
        number(
            f"{many.capitalize()} scored",
            f"{many.capitalize()} whose last row is not older than the staleness limit, 5 minutes.",
            Query(f"count({score})", many),
            "short",
        ),
        number(
            "Over the threshold",
            f"{many.capitalize()} whose last score is over 1. An alert takes 2 of the last 3 rows.",
            Query(f"count({score} > 1) or vector(0)", many),
            "short",
            colors=NONE_IS_GOOD,
        ),
        number(
            "Alerts firing",
            f"Alerts on {many} that fire in Prometheus now; muted ones have none.",
            Query(f"count({_firing(of)}) or vector(0)", "alerts"),
            "short",
            colors=NONE_IS_GOOD,
        ),
        number(
            "Muted",
            f"{many.capitalize()} whose alerts somebody keeps quiet for a while. Their scores go on.",
            Query(f"count({_muted_until(of)} > time()) or vector(0)", many),
            "short",
        ),
        number(
            "Not heard of",
            f"{many.capitalize()} that had a row within the last hour and have no score now.",
            Query(f"count({_gone(of)}) or vector(0)", many),
            "short",
            colors=NONE_IS_GOOD,
        ),
        number(
            "Oldest score",
            f"How old the last row is of the {of.one} that was heard of least lately.",
            Query(f"time() - min({_largest(of, f'anomaly_last_row_timestamp_seconds{of.all_series}')})", "age"),
            "s",
            colors={None: "green", 120: "yellow", 300: "red"},
        ),
    ]


def _by_score(of: Scored) -> table.Panel:
    one, many = of.one, of.many
    top = f"topk(20, {_score(of)})"
    in_top = f"and on (cluster, {one}) {top}"
    return rows(
        f"{many.capitalize()} by score",
        f"The 20 {many} with the highest score now: since when all their rows have been over 1, and the feature "
        f"that adds most to the score, for {many} over the contribution floor. A name leads to the dashboard of "
        "that one.",
        [
            top,
            f"time() - min by (cluster, {one}) (anomaly_over_since_timestamp_seconds{of.all_series}) {in_top}",
            f"topk by (cluster, {one}) (1, {_share(of)}) {in_top}",
            f"{_muted_until(of)} * 1000 {in_top}",
        ],
        [
            *_columns(of),
            Column("Value #A", "Score", "none", SCORE_COLORS),
            Column("Value #B", "Over 1 for", "s"),
            Column("feature", "Top feature"),
            Column("Value #C", "Its part", "none"),
            Column("Value #D", "Muted until", "dateTimeFromNow"),
        ],
        sort="Score",
        width=14,
    )


def _scores(of: Scored) -> Panels:
    one, many = of.one, of.many
    bounds = f"clamp_max(ceil({_score(of)} * {BUCKETS_A_UNIT}) / {BUCKETS_A_UNIT}, {LAST_BOUND})"
    legend = f"{{{{cluster}}}} {{{{{one}}}}}"
    open_one = link_to_one(of, f"${{__field.labels.{one}}}", "${__field.labels.cluster}")
    return [
        _by_score(of),
        graph(
            "Highest scores",
            f"The 10 {many} whose score was highest within the time that is shown. The dashed line is the threshold.",
            [Query(_highest(of, 10), legend)],
            "none",
            width=10,
            height=10,
            alarm=True,
            links=[open_one],
        ),
        history(
            f"Scores of {many}",
            f"A line for each of the 40 {many} whose score was highest within the time that is shown; red is over the "
            "threshold. The same red column in many lines has one cause.",
            Query(_highest(of, 40), legend),
            "none",
            links=[open_one],
        ),
        buckets(
            f"Scores of all {many}",
            f"How many {many} have a score up to each bound; the uppermost bucket has all above {LAST_BOUND} too. "
            "Where all move up together, their work has changed, or the model no longer fits.",
            Query(f'count_values("bound", {bounds})', "{{bound}}"),
            "none",
        ),
        graph(
            "Features that make scores",
            f"What each feature adds to the scores of all {many} over the contribution floor: the 10 largest now. "
            f"One feature on many {many} has one cause.",
            [Query(f"topk(10, sum by (feature) ({_share(of)}))", "{{feature}}")],
            "none",
            stacked=True,
        ),
    ]


def _alerts(of: Scored) -> Panels:
    return [
        rows(
            "Alerts that fire",
            "As Prometheus has them, before any silence of Alertmanager. What Nodescore says of it, and the form that "
            "takes what it was, are behind the name.",
            [_firing(of)],
            [Column("alertname", "Alert"), Column("severity", "Severity"), *_columns(of)],
            height=8,
        ),
        rows(
            f"{of.many.capitalize()} not heard of",
            f"{of.many.capitalize()} that had a row within the last hour and have no score now: gone, or no longer "
            "scraped, or renamed.",
            [f"({_gone(of)}) * 1000"],
            [*_columns(of), Column("Value #A", "Last row", "dateTimeFromNow")],
            height=8,
        ),
    ]
