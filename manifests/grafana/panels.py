"""The kinds of panels that the dashboards are made of, each with its title, description, unit and queries.

A panel is `WIDTH` or a part of it wide, of Grafana's 24 columns, and `height` rows of some 30 pixels high.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    heatmap,
    prometheus,
    stat,
    statushistory,
    table,
    timeseries,
)
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models.common import (
    BarGaugeDisplayMode,
    BigValueColorMode,
    BigValueGraphMode,
    BigValueTextMode,
    GraphDrawStyle,
    GraphThresholdsStyleMode,
    HeatmapCellLayout,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

WIDTH = 24
PROMETHEUS = DataSourceRef(type_val="prometheus", uid="${datasource}")
ALARM = 1.0  # a score's threshold
# Of a score: calm, near to an alarm, an alarm.
SCORE_COLORS: Mapping[float | None, str] = {None: "green", 0.8: "yellow", ALARM: "red"}
NONE_IS_GOOD: Mapping[float | None, str] = {None: "green", 1: "red"}
PLAIN: Mapping[float | None, str] = {None: "text"}

Panel = TypeVar("Panel", timeseries.Panel, stat.Panel, table.Panel, statushistory.Panel, heatmap.Panel, bargauge.Panel)


def peak(series: str) -> str:
    """The highest value of each step of a graph; where a step is shorter than a scrape, the last one.

    A step of a day's graph is longer than a minute: of what was between, a plain series would show nothing.
    """
    return f"(max_over_time({series}[$__interval]) or {series})"


@dataclass(frozen=True)
class Query:
    """A query and what its series are called, with `{{label}}` for a label's value."""

    expr: str
    legend: str


@dataclass(frozen=True)
class Column:
    """A column of a table: the label or, for `Value #A`, the query that it comes from, and how it is shown."""

    field: str
    title: str
    unit: str = ""
    colors: Mapping[float | None, str] | None = None
    links: Sequence[builders.DashboardLink] = ()


def number(
    title: str,
    description: str,
    query: Query,
    unit: str,
    *,
    width: int = 4,
    colors: Mapping[float | None, str] = PLAIN,
    none: str = "–",
    named: bool = False,
    links: Sequence[builders.DashboardLink] = (),
) -> stat.Panel:
    """One number as it is now; `named` shows the series' name in its place."""
    panel = (
        stat.Panel()
        .with_target(_target(query, "A").instant())
        .graph_mode(BigValueGraphMode.NONE)
        .color_mode(BigValueColorMode.VALUE)
        .text_mode(BigValueTextMode.NAME if named else BigValueTextMode.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(_thresholds(colors))
        .no_value(none)
        .data_links(list(links))
    )
    return _framed(panel, title, description, unit, width, 4)


def graph(
    title: str,
    description: str,
    queries: Sequence[Query],
    unit: str,
    *,
    width: int = 12,
    height: int = 8,
    alarm: bool = False,
    stacked: bool = False,
    zero: bool = True,
    links: Sequence[builders.DashboardLink] = (),
) -> timeseries.Panel:
    """Lines over time; `alarm` draws the threshold of a score, `stacked` fills the areas."""
    legend = common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
    panel = (
        timeseries.Panel()
        .draw_style(GraphDrawStyle.LINE)
        .line_width(1)
        .fill_opacity(40 if stacked else 5)
        .show_points(VisibilityMode.AUTO)
        .legend(legend.show_legend(True).calcs(["lastNotNull"]))
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
        .data_links(list(links))
    )
    for place, query in enumerate(queries):
        panel.with_target(_target(query, _letter(place)).range())
    if zero:
        panel.axis_soft_min(0)
    if stacked:
        panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL).group("A"))
    if alarm:
        alarm_line(panel)
    return _framed(panel, title, description, unit, width, height)


def alarm_line(panel: timeseries.Panel) -> timeseries.Panel:
    """Draw the threshold of a score, also where all scores are far below it."""
    panel.thresholds(_thresholds({None: "transparent", ALARM: "red"}))
    panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED))
    return panel.axis_soft_min(0).axis_soft_max(1.2 * ALARM)


def bars(title: str, description: str, query: Query, unit: str, *, width: int = 12, height: int = 8) -> bargauge.Panel:
    """A bar for each series, as it is now."""
    panel = (
        bargauge.Panel()
        .with_target(_target(query, "A").instant())
        .display_mode(BarGaugeDisplayMode.BASIC)
        .orientation(VizOrientation.HORIZONTAL)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(_thresholds({None: "blue"}))
        .min(0)
        .no_value("nothing now")
    )
    return _framed(panel, title, description, unit, width, height)


def history(
    title: str,
    description: str,
    query: Query,
    unit: str,
    *,
    height: int = 10,
    links: Sequence[builders.DashboardLink] = (),
) -> statushistory.Panel:
    """A line of coloured cells for each series, over the whole width."""
    panel = (
        statushistory.Panel()
        .with_target(_target(query, "A").range())
        .max_data_points(120)  # more cells than that are too narrow to be told apart
        .show_value(VisibilityMode.NEVER)
        .row_height(0.9)
        .fill_opacity(80)
        .line_width(0)
        .legend(common.VizLegendOptions().show_legend(True).placement(LegendPlacement.BOTTOM))
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.SINGLE))
        .thresholds(_thresholds(SCORE_COLORS))
        .data_links(list(links))
    )
    return _framed(panel, title, description, unit, WIDTH, height)


def buckets(title: str, description: str, query: Query, unit: str, *, width: int = 12) -> heatmap.Panel:
    """A heat map of counts; each series is a bucket, and its name the bucket's upper bound, in `unit`."""
    panel = (
        heatmap.Panel()
        .with_target(_target(query, "A").range())
        .max_data_points(120)
        .calculate(False)
        .rows_frame(heatmap.RowsHeatmapOptions().layout(HeatmapCellLayout.LE).value("nodes"))
        .color(heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(32).exponent(0.5))
        .y_axis(heatmap.YAxisConfig().unit(unit))
        .cell_values(heatmap.CellValues().unit("short"))
        .show_legend()
        .mode(TooltipDisplayMode.SINGLE)
        .show_color_scale(True)
    )
    return _framed(panel, title, description, unit, width, 8)


def rows(
    title: str,
    description: str,
    exprs: Sequence[str],
    columns: Sequence[Column],
    *,
    unit: str = "short",
    width: int = 12,
    height: int = 10,
    sort: str = "",
) -> table.Panel:
    """A table as it is now: the series of all queries, those with the same labels in one line; no other column.

    `sort` is the title of the column that the largest value comes first of.
    """
    panel = table.Panel()
    if sort:
        panel.sort_by([common.TableSortByFieldState().display_name(sort).desc(True)])
    for place, expr in enumerate(exprs):
        query = _target(Query(expr, "__auto"), _letter(place))
        panel.with_target(query.instant().format(PromQueryFormat.TABLE))
    # One query alone has its values in a column without a letter.
    fields = [column.field if len(exprs) > 1 else column.field.removesuffix(" #A") for column in columns]
    panel.with_transformation(DataTransformerConfig("merge", options={}))
    panel.with_transformation(DataTransformerConfig("filterFieldsByName", options={"include": {"names": fields}}))
    panel.with_transformation(
        DataTransformerConfig(
            "organize",
            options={
                "excludeByName": {},
                "indexByName": {field: place for place, field in enumerate(fields)},
                "renameByName": {field: column.title for field, column in zip(fields, columns, strict=True)},
            },
        )
    )
    return _framed(_shown(panel, columns), title, description, unit, width, height)


def _shown(panel: table.Panel, columns: Sequence[Column]) -> table.Panel:
    for column in columns:
        properties = []
        if column.unit:
            properties.append(DynamicConfigValue("unit", column.unit))
        if column.colors is not None:
            properties.append(DynamicConfigValue("thresholds", _thresholds(column.colors).build()))
            properties.append(DynamicConfigValue("custom.cellOptions", {"type": "color-text"}))
        if column.links:
            properties.append(DynamicConfigValue("links", [link.build() for link in column.links]))
        if properties:
            panel.override_by_name(column.title, properties)
    return panel


def _framed(panel: Panel, title: str, description: str, unit: str, width: int, height: int) -> Panel:
    framed: Panel = panel.title(title).description(description).unit(unit)
    return framed.datasource(PROMETHEUS).span(width).height(height)


def _target(query: Query, letter: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(letter).datasource(PROMETHEUS)


def _letter(place: int) -> str:
    return chr(ord("A") + place)


def _thresholds(colors: Mapping[float | None, str]) -> builders.ThresholdsConfig:
    steps = [Threshold(value=value, color=color) for value, color in colors.items()]
    return builders.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
