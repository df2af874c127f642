"""What is asked of the service's own metrics, of the instances that are chosen."""

from __future__ import annotations

from manifests.grafana.panels import Query

OF = '{job=~"$job",instance=~"$instance"}'
WINDOW = "[$__rate_interval]"
# Events are rare: counted over at least ten minutes, so that one shows as a hill and not as a needle.
EVENTS_WINDOW = "[10m]"


def rate(metric: str, *by: str) -> str:
    """A counter's rate a second, over all chosen instances, by these labels."""
    labels = f"by ({','.join(by)}) " if by else ""
    return f"sum {labels}(rate({metric}{OF}{WINDOW}))"


def each(metric: str, what: str = "") -> Query:
    """A gauge of each chosen instance; `what` tells it from others beside it."""
    return Query(f"sum by (instance) ({metric}{OF})", f"{what} at {{{{instance}}}}" if what else "{{instance}}")


def events(metric: str, *by: str) -> str:
    """How often something happened within `EVENTS_WINDOW`, over all chosen instances, by these labels."""
    labels = f" by ({','.join(by)}) " if by else ""
    return f"sum{labels}(increase({metric}{OF}{EVENTS_WINDOW}))"


def quantiles(histogram: str) -> list[Query]:
    """The median, and what one in a hundred takes longer than."""
    return [
        Query(f"histogram_quantile({share}, {rate(f'{histogram}_bucket', 'le')})", name)
        for share, name in ((0.5, "median"), (0.99, "99 %"))
    ]
