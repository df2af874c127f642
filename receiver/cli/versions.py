"""`nodescore models list`, `show`, `add`, `shadow`, `activate`, `rollback`: which model scores for a store."""

from __future__ import annotations

import getpass
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from receiver.cli import options
from receiver.errors import DataError
from receiver.web.instants import format_instant

if TYPE_CHECKING:
    from receiver.store import Activation

VersionArgument = Annotated[str, typer.Argument(help="As `list` shows it.")]
ReasonOption = Annotated[str, typer.Option(help="Free text, kept with the change.")]


def build() -> typer.Typer:
    """The group of commands."""
    group = typer.Typer(
        name="models",
        help="Versions of the model: which there are, which is active, and back. Running services follow in 10 s.",
        no_args_is_help=True,
    )
    group.command("list")(list_)
    for command in (show, add, shadow, activate, rollback):
        group.command()(command)
    return group


def list_(
    data_dir: options.DataDirOption = None, store: options.StoreOption = None, config: options.ConfigOption = None
) -> None:
    """All versions, the one added last at the end.

    nodescore models list
    """
    from receiver.registry import listed, opened

    with opened(*options.load(config, data_dir=data_dir, store=store)) as models:
        found = listed(models)
    for version, state in found:
        typer.echo(f"{version.version:<40} {state:<10} {format_instant(version.created_ms)}")
    if not found:
        typer.echo("no versions; the first start of `nodescore serve` adds the model that ships")


def show(
    version: VersionArgument,
    data_dir: options.DataDirOption = None,
    store: options.StoreOption = None,
    config: options.ConfigOption = None,
) -> None:
    """One version as JSON: its card, what it was trained on, its measures, and when it was activated.

    nodescore models show mean_z2-20261120-18add40d
    """
    from receiver.registry import listed, opened

    with opened(*options.load(config, data_dir=data_dir, store=store)) as models:
        found = next((one for one in listed(models) if one.version.version == version), None)
        entries = [entry for entry in models.activations() if entry.version == version]
    if found is None:
        raise DataError(f"model {version}: there is no such version; `nodescore models list` shows them")
    of = found.version
    told = {
        "version": of.version,
        "state": found.state,
        "sha256": of.sha256,
        "size_bytes": of.size_bytes,
        "parent": of.parent,
        "created": format_instant(of.created_ms),
        "labels": of.labels,
        "measures": of.measures,
        "activations": [
            {"at": format_instant(entry.at_ms), "by": entry.by, "reason": entry.reason, "rollback": entry.rollback}
            for entry in entries
        ],
        "card": of.card,
    }
    typer.echo(json.dumps(told, indent=2))


def add(
    file: Annotated[Path, typer.Argument(help="ONNX file, as `nodescore train` writes it.")],
    data_dir: options.DataDirOption = None,
    store: options.StoreOption = None,
    config: options.ConfigOption = None,
) -> None:
    """Check a file and keep it as a candidate, which scores nothing until it is activated.

    nodescore models add model.onnx
    """
    from receiver.detector.model import read
    from receiver.registry import opened, publish

    settings, catalogue = options.load(config, data_dir=data_dir, store=store)
    model = read(file)
    with opened(settings, catalogue) as models:
        version = publish(models, catalogue, model, _now_ms(), name=file)
    typer.echo(f"{version.version} is there; `nodescore models activate {version.version}` has it score")


def shadow(
    version: Annotated[str | None, typer.Argument(help="As `list` shows it.", show_default=False)] = None,
    off: Annotated[bool, typer.Option("--off", help="Have none score in the shadow any more.")] = False,
    reason: ReasonOption = "",
    data_dir: options.DataDirOption = None,
    store: options.StoreOption = None,
    config: options.ConfigOption = None,
) -> None:
    """Have a candidate score beside the active version, to see what it would do.

    Its scores are exposed as anomaly_shadow_score, raise no alert, and cost twice the CPU of the active version's.

        nodescore models shadow agreement-20261120-0badcafe

        nodescore models shadow --off
    """
    from receiver import registry

    if (version is None) != off:
        raise DataError("say a version, or --off")
    settings, catalogue = options.load(config, data_dir=data_dir, store=store)
    by = getpass.getuser()
    with registry.opened(settings, catalogue) as models:
        if version is not None:
            registry.shadow(models, catalogue, version, by=by, reason=reason, now_ms=_now_ms())
        else:
            ended = registry.shadowed(models)
            registry.end_shadow(models, ended, by=by, reason=reason, now_ms=_now_ms())
    told = f"{version} scores in the shadow" if version else f"{ended} scores in the shadow no more"
    typer.echo(f"{told}; services follow within 10 s")


def activate(
    version: VersionArgument,
    reason: ReasonOption = "",
    data_dir: options.DataDirOption = None,
    store: options.StoreOption = None,
    config: options.ConfigOption = None,
) -> None:
    """Have all services of the store go on with this version.

    A service that was started with `--model` stays with its file.

        nodescore models activate agreement-20261120-0badcafe --reason "fewer false alarms"
    """
    from receiver import registry

    settings, catalogue = options.load(config, data_dir=data_dir, store=store)
    with registry.opened(settings, catalogue) as models:
        entry = registry.activate(models, catalogue, version, by=getpass.getuser(), reason=reason, now_ms=_now_ms())
    _tell(entry)


def rollback(
    reason: ReasonOption = "",
    data_dir: options.DataDirOption = None,
    store: options.StoreOption = None,
    config: options.ConfigOption = None,
) -> None:
    """Go back to the version that was active before; once more, to the one before that.

    nodescore models rollback --reason "it misses the miners"
    """
    from receiver import registry

    settings, catalogue = options.load(config, data_dir=data_dir, store=store)
    with registry.opened(settings, catalogue) as models:
        entry = registry.roll_back(models, catalogue, by=getpass.getuser(), reason=reason, now_ms=_now_ms())
    _tell(entry)


def _tell(entry: Activation) -> None:
    was = f", {entry.before} was before" if entry.before else ""
    typer.echo(f"{entry.version} is active since {format_instant(entry.at_ms)}{was}; services follow within 10 s")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
