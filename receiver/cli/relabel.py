"""`nodescore relabel`: what to paste into prometheus.yml."""

from __future__ import annotations

from typing import Annotated

import typer

from receiver.cli import options


def relabel(
    url: Annotated[
        str, typer.Option(help="Address of Nodescore as Prometheus reaches it.")
    ] = "http://127.0.0.1:9201/api/v1/write",
    config: options.ConfigOption = None,
) -> None:
    """Print the Prometheus configuration: remote write with relabel rules, and the scrape job.

    The rules keep just the series that the catalogue's features are made of.

        nodescore relabel --url http://nodescore:9201/api/v1/write
    """
    from receiver.promql import prometheus_snippet

    _, catalogue = options.load(config)
    typer.echo(prometheus_snippet(catalogue, options.write_url(url).geturl()), nl=False)
