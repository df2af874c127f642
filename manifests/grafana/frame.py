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

Panels = list[Builder[Panel]]

TAG = "nodescore"
# As in the alerts' link: the address at which Nodescore's pages are reached is put in its place.
PLACEHOLDER_URL = "http://nodescore.example:9201"
NODE_UID = "nodescore-node"
# Of a node, in a link to one of Nodescore's pages: as template variables, and as columns of a table.
CHOSEN_NODE = "node=${node:percentencode}&cluster=${cluster:percentencode}"


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


def pages_url() -> TextBoxVariable:
    """The variable of the address of Nodescore's pages."""
    return (
        TextBoxVariable("nodescore")
        .label("Nodescore's address")
        .default_value(PLACEHOLDER_URL)
        .current(VariableOption(text=PLACEHOLDER_URL, value=PLACEHOLDER_URL))
    )


def page_link(title: str, path_and_query: str) -> DashboardLink:
    """A link to a page of Nodescore, in a window of its own."""
    return DashboardLink(title).url(f"${{nodescore:raw}}/{path_and_query}").target_blank(True)


def node_link(node: str, cluster: str) -> DashboardLink:
    """A link to the dashboard of a node, over the same time; the arguments say what stands for its names."""
    variables = f"var-node={node}&var-cluster={cluster}&${{datasource:queryparam}}&${{nodescore:queryparam}}"
    return DashboardLink("Open the node").url(f"/d/{NODE_UID}?{variables}&${{__url_time_range}}")
