"""What of one node is asked of TimescaleDB: what was said of it, and rows older than Prometheus keeps them."""

from __future__ import annotations

from grafana_foundation_sdk.builders import common, table, timeseries
from grafana_foundation_sdk.builders.dashboard import Row
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement
from grafana_foundation_sdk.models.dashboard import DataSourceRef

from manifests.grafana.panels import WIDTH, alarm_line
from manifests.grafana.scored import Scored
from receiver.store.timescale.schema import schema_of

TIMESCALE_TYPE = "grafana-postgresql-datasource"
TIMESCALE = DataSourceRef(type_val=TIMESCALE_TYPE, uid="${timescale}")
# {one} is a table's first word and a variable, {schema} where its tables are; columns say `node` whatever is scored.
SCORES = """\
SELECT time_bucket(interval '$__interval', s.time) AS time, m.version AS metric, max(s.score) AS score
FROM {schema}{one}_scores s JOIN {schema}nodes n ON n.id = s.node JOIN {schema}models m ON m.id = s.model
WHERE $__timeFilter(s.time) AND n.name = ${{{one}:sqlstring}} AND n.cluster = ${{cluster:sqlstring}}
GROUP BY 1, 2 ORDER BY 1"""
LABELS = """\
SELECT start_time AS "From", end_time AS "Until", CASE WHEN attack THEN 'attack' ELSE 'normal' END AS "Was",
  verdict AS "Verdict", details AS "Details", author AS "Author", score AS "Score", model AS "Model"
FROM {schema}labels_now WHERE end_time >= $__timeFrom() AND start_time <= $__timeTo()
  AND node = ${{{one}:sqlstring}} AND cluster = ${{cluster:sqlstring}}
ORDER BY start_time DESC LIMIT 200"""
ROWS = """\
SELECT * FROM {schema}{one}_dataset
WHERE $__timeFilter(time) AND node = ${{{one}:sqlstring}} AND cluster = ${{cluster:sqlstring}}
ORDER BY time DESC LIMIT 200"""


class SqlQuery(Dataquery, Builder[Dataquery]):
    """A query of a Postgres data source; the kit has none. It needs no building."""

    def __init__(self, sql: str, form: str) -> None:
        self.sql = sql
        self.form = form

    def build(self) -> Dataquery:
        """The query itself."""
        return self

    def to_json(self) -> dict[str, object]:
        """What the data source reads."""
        return {
            "datasource": TIMESCALE,
            "editorMode": "code",
            "format": self.form,
            "rawQuery": True,
            "rawSql": self.sql,
            "refId": "A",
        }


def row(of: Scored) -> Row:
    """Closed at first: whoever has no TimescaleDB is not shown errors."""
    return (
        Row("From TimescaleDB, where Nodescore has one")
        .collapsed(True)
        .with_panel(_scores(_sql(of, SCORES)))
        .with_panel(
            _table(
                "What was said of it",
                "The labels that hold, of alarms and of calm, with what was scored then.",
                _sql(of, LABELS),
            )
        )
        .with_panel(
            _table(
                "Stored rows",
                "The last 200 rows in the form of the data set: raw values, and whether a label says attack.",
                _sql(of, ROWS),
            )
        )
    )


def _sql(of: Scored, sql: str) -> str:
    schema = schema_of(of.catalogue)
    return sql.format(one=of.one, schema=f"{schema}." if schema else "")


def _scores(sql: str) -> timeseries.Panel:
    legend = common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
    panel = (
        timeseries.Panel()
        .title("Stored scores")
        .description("The highest score of each interval, by the version of the model that made it.")
        .unit("none")
        .datasource(TIMESCALE)
        .with_target(SqlQuery(sql, "time_series"))
        .legend(legend.show_legend(True))
        .span(WIDTH)
        .height(8)
    )
    return alarm_line(panel)


def _table(title: str, description: str, sql: str) -> table.Panel:
    panel = table.Panel().title(title).description(description).unit("none").datasource(TIMESCALE)
    return panel.with_target(SqlQuery(sql, "table")).span(WIDTH).height(9)
