"""`nodescore serve` and `nodescore check`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from receiver.cli import options
from receiver.cli.shown import line_of
from receiver.errors import NodescoreError

T = TypeVar("T")

WebConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--web-config", help="YAML file of TLS, users, tokens and permissions. [default: none]", show_default=False
    ),
]

ListenOption = Annotated[
    str | None, typer.Option("--listen", help="HOST:PORT. [default: 127.0.0.1:9201]", show_default=False)
]


def serve(
    listen: ListenOption = None,
    data_dir: options.DataDirOption = None,
    store: options.StoreOption = None,
    model: options.ModelOption = None,
    config: options.ConfigOption = None,
    web_config: WebConfigOption = None,
) -> None:
    """Take remote write, score nodes, and show the scores on /metrics and a page.

    Every setting can also be given as NODESCORE_… in the environment, or in the file of --config.

        nodescore serve --listen 0.0.0.0:9201 --data-dir /var/lib/nodescore
    """
    from receiver.web.server import serve as run

    loaded, _ = options.load(config, listen=listen, data_dir=data_dir, store=store, model=model, web_config=web_config)
    run(loaded)


def check(
    listen: ListenOption = None,
    data_dir: options.DataDirOption = None,
    store: options.StoreOption = None,
    model: options.ModelOption = None,
    config: options.ConfigOption = None,
    web_config: WebConfigOption = None,
) -> None:
    """Try everything that `serve` needs, and change nothing.

    One line for each: settings, catalogue, model, store, TimescaleDB, web configuration. Ends with status 2 where one
    is at fault.

        nodescore check --config nodescore.toml
    """
    from receiver import catalogue as catalogues
    from receiver import settings as all_settings
    from receiver.cli import checks

    flags = {"listen": listen, "data_dir": data_dir, "store": store, "model": model, "web_config": web_config}
    checking = _Checking()
    settings = checking.line("settings", lambda: checks.settings(all_settings.load(flags, config)))
    if settings is not None:
        catalogue = checking.line(
            "catalogue", lambda: checks.catalogue(catalogues.load(settings.catalogue, settings.variables))
        )
        if catalogue is not None:
            checking.line("model", lambda: checks.model(settings, catalogue))
            checking.line("store", lambda: checks.embedded(settings, catalogue))
            if settings.store is not None:
                dsn = settings.store.get_secret_value()
                checking.line("timescaledb", lambda: checks.timescale(dsn))
        if (web_config := settings.web_config) is not None:
            checking.line("web config", lambda: checks.web_config(web_config))
    raise typer.Exit(2 if checking.faults else 0)


class _Checking:
    """Prints a line for each part, and counts the faults."""

    def __init__(self) -> None:
        self.faults = 0

    def line(self, part: str, examine: Callable[[], tuple[T, str]]) -> T | None:
        try:
            found, text = examine()
        except (NodescoreError, OSError) as error:
            self.faults += 1
            typer.echo(f"FAULT  {part}: {line_of(error)}")
            return None
        typer.echo(f"ok     {part}: {text}")
        return found
