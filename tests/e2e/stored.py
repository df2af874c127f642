"""What TimescaleDB holds, and what Prometheus says that it should hold."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql

from receiver import promql
from tests.e2e.chain import CATALOGUE
from tests.servers.prometheus import Labels, Prometheus

Values = dict[str, float]  # by feature; what is missing is not there


@dataclass(frozen=True)
class Row:
    """One stored row of a node."""

    node: str
    time_ms: int
    raw: Values
    x: Values
    score: float


def rows(dsn: str) -> list[Row]:
    """All stored and scored rows, by node and time; none where the service has made no tables yet."""
    features = CATALOGUE.feature_names
    query = sql.SQL(
        "SELECT n.name, (extract(epoch FROM s.time) * 1000)::bigint, c.score, c.x, {} FROM node_samples s "
        "JOIN nodes n ON n.id = s.node JOIN node_scores c USING (time, node) ORDER BY 1, 2"
    ).format(sql.SQL(", ").join(sql.SQL("s.") + sql.Identifier(name) for name in features))
    with psycopg.connect(dsn) as connection:
        try:
            found = connection.execute(query).fetchall()
        except psycopg.errors.UndefinedTable:
            return []
    return [Row(node, time_ms, _present(values), _present(x), score) for node, time_ms, score, x, *values in found]


def times_ms(dsn: str) -> dict[str, list[int]]:
    """When the stored rows of each node were scraped, scored or not."""
    query = (
        "SELECT n.name, array_agg((extract(epoch FROM s.time) * 1000)::bigint ORDER BY s.time) "
        "FROM node_samples s JOIN nodes n ON n.id = s.node GROUP BY n.name"
    )
    with psycopg.connect(dsn) as connection:
        return dict(connection.execute(query).fetchall())


def _present(values: list[float | None]) -> Values:
    named = zip(CATALOGUE.feature_names, values, strict=True)
    return {name: value for name, value in named if value is not None and value == value}


ALL_FEATURES = " or ".join(
    f'label_replace({expression}, "feature", "{name}", "job", ".*")'
    for name, expression in promql.expressions(CATALOGUE, 'job="node"').items()
)


def answered(prometheus: Prometheus, node: str, time_ms: int) -> Values:
    """The raw values of a node as Prometheus's own HTTP API gives them for this instant."""
    found = prometheus.query(ALL_FEATURES, time_ms)
    return {labels["feature"]: value for labels, value in found if labels["node"] == node}


def scrape_times_ms(prometheus: Prometheus, node: str) -> list[int]:
    """When Prometheus scraped a node with success."""
    ((_, samples),) = prometheus.samples(f'node_load1{{job="node",node="{node}"}}')
    return [time_ms for time_ms, _ in samples]


class Counters:
    """Every counter series of a node, as Prometheus stored it."""

    def __init__(self, prometheus: Prometheus, node: str) -> None:
        self.series: dict[str, list[tuple[Labels, dict[int, float]]]] = {}
        for feature in CATALOGUE.features:
            if feature.counter:
                terms = [CATALOGUE.terms[source.term] for source in feature.sources]
                self.series[feature.name] = [
                    (labels, dict(samples))
                    for term in terms
                    for labels, samples in prometheus.samples(f'{term.metric}{{job="node",node="{node}"}}')
                    if term.takes(labels)
                ]

    def rate(self, feature: str, since_ms: int, until_ms: int) -> float | None:
        """Σ of the series' increases, per second; a fall is a reset. None where the series are not the same."""
        rises = []
        for _, samples in self.series[feature]:
            if (since_ms in samples) != (until_ms in samples):
                return None
            if since_ms in samples:
                before, after = samples[since_ms], samples[until_ms]
                rises.append(after - before if after >= before else after)
        return sum(rises) / (until_ms - since_ms) * 1000 if rises else None

    def fell(self, feature: str, since_ms: int, until_ms: int) -> bool:
        """True where a series was reset between two scrapes."""
        return any(s[until_ms] < s[since_ms] for _, s in self.series[feature] if since_ms in s and until_ms in s)

    def count(self, feature: str, time_ms: int) -> int:
        """Series of a feature in a scrape."""
        return sum(time_ms in samples for _, samples in self.series[feature])
