"""What all dashboards have in common: their variables, and the links between them and to Nodescore's pages."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import (
    CustomVariable,
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    QueryVariable,
    Row,
    TextBoxVariable,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.common import TimeZoneBrowser
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    Panel,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from manifests.grafana.panels import PROMETHEUS
from manifests.grafana.scored import Scored

Panels = list[Builder[Panel]]

TAG = "nodescore"


def frame(uid: str, title: str, description: str, since: str) -> Dashboard:
    """A dashboard without a panel, that shows the time from `since` until now."""
    others = DashboardLink("Nodescore").type(DashboardLinkType.DASHBOARDS).tags([TAG])
    return (
        Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .timezone(TimeZoneBrowser)
        .time(since, "now")
        .refresh("1m")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(others.as_dropdown(False).keep_time(True).include_vars(True))
        .with_variable(DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )


def section(built: Dashboard, panels: Panels, title: str = "") -> None:
    """Add panels, below a row of this title, where it has one."""
    if title:
        built.with_row(Row(title))
    for panel in panels:
        built.with_panel(panel)


def values_of(name: str, label: str, query: str, *, several: bool = False) -> QueryVariable:
    """A variable of a label's values; "All" of several matches a series that lacks the label too."""
    variable = QueryVariable(name).label(label).query(query).datasource(PROMETHEUS)
    variable.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.ALPHABETICAL_ASC).multi(several)
    if several:
        variable.include_all(True).all_value(".*").current(VariableOption(text="All", value="$__all"))
    return variable


def one_of(name: str, label: str, values: list[str]) -> CustomVariable:
    """A variable of fixed values, the first of which is chosen."""
    options = [VariableOption(text=value, value=value, selected=value == values[0]) for value in values]
    return CustomVariable(name).label(label).values(",".join(values)).options(options).current(options[0])


def pages_url(of: Scored) -> TextBoxVariable:
    """The variable of the address of the pages of their Nodescore."""
    return (
        TextBoxVariable(of.pages)
        .label("Nodescore's address")
        .default_value(of.placeholder_url)
        .current(VariableOption(text=of.placeholder_url, value=of.placeholder_url))
    )


def page_link(of: Scored, title: str, path_and_query: str) -> DashboardLink:
    """A link to a page of their Nodescore, in a window of its own; pages say `node` whatever is scored."""
    return DashboardLink(title).url(f"${{{of.pages}:raw}}/{path_and_query}").target_blank(True)


def uid_of_one(of: Scored) -> str:
    """What Grafana knows the dashboard of a single one by."""
    return f"{TAG}-{of.one}"


def link_to_one(of: Scored, name: str, cluster: str) -> DashboardLink:
    """A link to the dashboard of one, over the same time; the arguments say what stands for its names."""
    variables = f"var-{of.one}={name}&var-cluster={cluster}&${{datasource:queryparam}}&${{{of.pages}:queryparam}}"
    return DashboardLink(f"Open the {of.one}").url(f"/d/{uid_of_one(of)}?{variables}&${{__url_time_range}}")
