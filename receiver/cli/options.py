"""Options that several commands have, and the settings made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

import typer

from receiver import settings
from receiver.catalogue import Catalogue
from receiver.catalogue import load as load_catalogue
from receiver.errors import ConfigurationError, DataError
from receiver.settings import Settings
from receiver.web.instants import parse_instant_ms

# Defaults are None, so that the environment and the file count where no flag is given; the help names what holds then.
ConfigOption = Annotated[Path | None, typer.Option("--config", help="TOML file of settings.", show_default=False)]
DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", help="Folder of journal, store and models. [default: nodescore-data]", show_default=False
    ),
]
StoreOption = Annotated[
    str | None,
    typer.Option("--store", help="postgresql://… of a TimescaleDB. [default: the embedded store]", show_default=False),
]
ModelOption = Annotated[
    Path | None,
    typer.Option(
        "--model", help="ONNX file, fixed. [default: the active version; see `nodescore models`]", show_default=False
    ),
]


def load(config: Path | None, **flags: object) -> tuple[Settings, Catalogue]:
    """Settings and catalogue; raises `ConfigurationError`."""
    loaded = settings.load(flags, config)
    return loaded, load_catalogue(loaded.catalogue, loaded.variables)


def write_url(text: str) -> SplitResult:
    """The address of a receiver that `--url` names; where it has no path, that of remote write."""
    try:
        parts = urlsplit(text)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise ValueError
    except ValueError:  # what `urlsplit` raises, too, of a port or an address that is none
        raise ConfigurationError(f"--url {text}: must be http://HOST[:PORT][/PATH] or https://…") from None
    return parts if parts.path not in ("", "/") else parts._replace(path="/api/v1/write")


def instant_ms(option: str, text: str, now_ms: int) -> int:
    """The time that an option names."""
    try:
        return parse_instant_ms(text, now_ms)
    except ValueError as error:
        raise DataError(f"{option}: {error}") from None


def span_ms(since: str, until: str, now_ms: int) -> tuple[int, int]:
    """The times that `--since` and `--until` name, with some time in between."""
    since_ms, until_ms = instant_ms("--since", since, now_ms), instant_ms("--until", until, now_ms)
    if since_ms >= until_ms:
        raise DataError("--since must be before --until")
    return since_ms, until_ms
