"""`nodescore label`: say what a node's interval was."""

from __future__ import annotations

import getpass
import time
from enum import StrEnum
from typing import Annotated

import typer

from receiver.cli import options
from receiver.cli.stores import named, reading
from receiver.errors import DataError
from receiver.store import Label
from receiver.web.instants import format_instant


class VerdictOption(StrEnum):
    """What the alert was, or its absence."""

    tp = "TP"
    fp = "FP"
    tn = "TN"
    fn = "FN"


def label(
    node: Annotated[str, typer.Option(help="The node, as it is named in its scores.")],
    start: Annotated[str, typer.Option(help="RFC 3339, Unix seconds, or like -10m.")],
    end: Annotated[str, typer.Option(help="The same; included.")] = "now",
    attack: Annotated[bool | None, typer.Option("--attack/--normal", help="What it was.", show_default=False)] = None,
    verdict: Annotated[
        VerdictOption | None, typer.Option(help="What the alert was: TP and FN say attack, FP and TN normal.")
    ] = None,
    cluster: Annotated[str | None, typer.Option(help="Needed where several clusters have the node.")] = None,
    details: Annotated[str, typer.Option(help="Free text.")] = "",
    author: Annotated[str | None, typer.Option(help="[default: who runs this]", show_default=False)] = None,
    data_dir: options.DataDirOption = None,
    store: options.StoreOption = None,
    config: options.ConfigOption = None,
) -> None:
    """Mark an interval of a node as an attack, or as normal.

    `export` shows it in the column attack, and retraining learns from it.

        nodescore label --node worker-1 --start -10m --end -5m --attack --details "stress test"

        nodescore label --node worker-1 --start 2026-11-20T08:00:00Z --end 2026-11-20T08:04:00Z --verdict FP
    """
    settings, catalogue = options.load(config, data_dir=data_dir, store=store)
    now_ms = int(time.time() * 1000)
    start_ms = options.instant_ms("--start", start, now_ms)
    end_ms = options.instant_ms("--end", end, now_ms)
    if end_ms < start_ms:
        raise DataError(f"--end {format_instant(end_ms)} is before --start {format_instant(start_ms)}")
    was_attack = _attack(attack, verdict)
    with reading(settings, catalogue) as reader:
        name = named(sorted(reader.nodes().values()), node, cluster)
        number = reader.add_label(
            Label(
                name=name,
                start_ms=start_ms,
                end_ms=end_ms,
                attack=was_attack,
                verdict=None if verdict is None else verdict.value,
                details=details,
                author=author or getpass.getuser(),
                created_ms=now_ms,
            )
        )
    kind = "attack" if was_attack else "normal"
    typer.echo(f"label {number}: {name.node} {kind} from {format_instant(start_ms)} to {format_instant(end_ms)}")


def _attack(attack: bool | None, verdict: VerdictOption | None) -> bool:
    says = None if verdict is None else verdict in (VerdictOption.tp, VerdictOption.fn)
    if says is None and attack is None:
        raise DataError("say --attack or --normal, or a --verdict")
    if says is not None and attack is not None and says != attack:
        raise DataError(
            f"--verdict {verdict.value if verdict else ''} contradicts {'--attack' if attack else '--normal'}"
        )
    return bool(attack if says is None else says)
