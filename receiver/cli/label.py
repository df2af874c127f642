"""`nodescore label`: say what a node's interval was, see what was said, change it, withdraw it.

The command itself adds a label; `list`, `edit` and `withdraw` stand behind it. A change names the revision that it
changes, or means the newest; where another one holds by then, nothing is done, and `Conflict` says what holds.
"""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from typing import Annotated

import typer

from receiver.cli import options
from receiver.cli.shown import one_line
from receiver.cli.stores import named, reading
from receiver.errors import DataError
from receiver.feedback import nearest, next_revision
from receiver.store import Label
from receiver.web.instants import format_instant


class VerdictOption(StrEnum):
    """What the alert was, or its absence."""

    tp = "TP"
    fp = "FP"
    tn = "TN"
    fn = "FN"


AttackOption = Annotated[bool | None, typer.Option("--attack/--normal", help="What it was.", show_default=False)]
SaidOption = Annotated[
    VerdictOption | None,
    typer.Option("--verdict", help="What the alert was: TP and FN say attack, FP and TN normal.", show_default=False),
]
AuthorOption = Annotated[str | None, typer.Option("--author", help="[default: who runs this]", show_default=False)]
KeyArgument = Annotated[str, typer.Argument(help="As `list` shows it.")]
RevisionOption = Annotated[
    int | None,
    typer.Option("--revision", min=1, help="The one that is changed. [default: the newest]", show_default=False),
]


def build() -> typer.Typer:
    """The command and those behind it."""
    group = typer.Typer(name="label", invoke_without_command=True)
    group.callback()(label)
    group.command("list")(list_)
    for command in (edit, withdraw):
        group.command()(command)
    return group


def label(
    context: typer.Context,
    node: Annotated[
        str | None, typer.Option(help="The node, as it is named in its scores.", show_default=False)
    ] = None,
    start: Annotated[str | None, typer.Option(help="RFC 3339, Unix seconds, or like -10m.", show_default=False)] = None,
    end: Annotated[str, typer.Option(help="The same; included.")] = "now",
    attack: AttackOption = None,
    verdict: SaidOption = None,
    cluster: Annotated[str | None, typer.Option(help="Needed where several clusters have the node.")] = None,
    details: Annotated[str, typer.Option(help="Free text.")] = "",
    author: AuthorOption = None,
    data_dir: options.DataDirOption = None,
    store: options.StoreOption = None,
    config: options.ConfigOption = None,
) -> None:
    """Mark an interval of a node as an attack, or as normal.

    `export` shows it in the column attack, and retraining learns from it.

        nodescore label --node worker-1 --start -10m --end -5m --attack --details "stress test"

        nodescore label --node worker-1 --start 2026-11-20T08:00:00Z --end 2026-11-20T08:04:00Z --verdict FP
    """
    if context.invoked_subcommand is not None:
        _refuse_options(context)
        return
    if node is None or start is None:
        raise DataError(f"{'--start' if node else '--node'} is needed to mark an interval")
    settings, catalogue = options.load(config, data_dir=data_dir, store=store)
    now_ms = int(time.time() * 1000)
    start_ms = options.instant_ms("--start", start, now_ms)
    end_ms = options.instant_ms("--end", end, now_ms)
    _check_order(start_ms, end_ms)
    was_attack = _attack(attack, verdict)
    with reading(settings, catalogue) as reader:
        name = named(sorted(reader.nodes().values()), node, cluster)
        said = Label(
            name=name,
            start_ms=start_ms,
            end_ms=end_ms,
            attack=was_attack,
            verdict=None if verdict is None else verdict.value,
            details=details,
            author=author or getpass.getuser(),
            created_ms=now_ms,
        )
        said = reader.scored(said)
        number = reader.add_label(said)
        hint = nearest([reader.scored_around(name, start_ms, end_ms)]) if said.score is None else ""
    kind = "attack" if was_attack else "normal"
    typer.echo(f"label {number}: {name.node} {kind} from {format_instant(start_ms)} to {format_instant(end_ms)}")
    if hint:
        # No refusal: rows may still be on their way here, and a wrong time can be edited.
        typer.echo(f"nothing is scored in this time; {hint}", err=True)


def list_(
    since: Annotated[str, typer.Option(help="Labels that touch the time from here on.")] = "-7d",
    until: Annotated[str, typer.Option(help="Not included.")] = "now",
    node: Annotated[str | None, typer.Option(help="Only of this node.", show_default=False)] = None,
    data_dir: options.DataDirOption = None,
    store: options.StoreOption = None,
    config: options.ConfigOption = None,
) -> None:
    """The labels that hold now, by start, each with its key.

    nodescore label list --since -30d --node worker-1
    """
    settings, catalogue = options.load(config, data_dir=data_dir, store=store)
    now_ms = int(time.time() * 1000)
    since_ms, until_ms = options.span_ms(since, until, now_ms)
    with reading(settings, catalogue) as reader:
        for one in reader.labels(since_ms, until_ms):
            if node in (None, one.name.node):
                typer.echo(_line(one))


def edit(
    key: KeyArgument,
    revision: RevisionOption = None,
    start: Annotated[str | None, typer.Option(help="RFC 3339, Unix seconds, or like -10m.")] = None,
    end: Annotated[str | None, typer.Option(help="The same; included.")] = None,
    attack: AttackOption = None,
    verdict: SaidOption = None,
    details: Annotated[str | None, typer.Option(help="Free text.")] = None,
    author: AuthorOption = None,
    data_dir: options.DataDirOption = None,
    store: options.StoreOption = None,
    config: options.ConfigOption = None,
) -> None:
    """Say something else; what is not given stays. What was said before is kept.

    nodescore label edit 5f0c9a3be81d47f2a6c4e09b7d315f88 --verdict FP --details "the nightly backup"
    """
    now_ms = int(time.time() * 1000)

    def edited(before: Label) -> Label:
        start_ms = before.start_ms if start is None else options.instant_ms("--start", start, now_ms)
        end_ms = before.end_ms if end is None else options.instant_ms("--end", end, now_ms)
        _check_order(start_ms, end_ms)
        said = verdict or (VerdictOption(before.verdict) if before.verdict else None)
        return replace(
            before,
            start_ms=start_ms,
            end_ms=end_ms,
            attack=before.attack if attack is None and verdict is None else _attack(attack, said),
            verdict=None if said is None else said.value,
            details=before.details if details is None else details,
            author=author or getpass.getuser(),
            created_ms=now_ms,
            withdrawn=False,
        )

    typer.echo(_line(_revised(key, revision, edited, config, data_dir=data_dir, store=store)))


def withdraw(
    key: KeyArgument,
    revision: RevisionOption = None,
    author: AuthorOption = None,
    data_dir: options.DataDirOption = None,
    store: options.StoreOption = None,
    config: options.ConfigOption = None,
) -> None:
    """Have a label say nothing any more. What was said is kept.

    nodescore label withdraw 5f0c9a3be81d47f2a6c4e09b7d315f88
    """
    by, now_ms = author or getpass.getuser(), int(time.time() * 1000)

    def withdrawn(before: Label) -> Label:
        return replace(before, author=by, created_ms=now_ms, withdrawn=True)

    typer.echo(_line(_revised(key, revision, withdrawn, config, data_dir=data_dir, store=store)))


def _revised(
    key: str, revision: int | None, change: Callable[[Label], Label], config: options.ConfigOption, **flags: object
) -> Label:
    """Keep the revision that follows the one that is changed; as it is stored."""
    with reading(*options.load(config, **flags)) as reader:
        history = reader.label_history(key)
        found = [one for one in history if revision in (None, one.revision)]
        if not found:
            what = f"there is no label {key}" if not history else f"label {key} has no revision {revision}"
            raise DataError(f"{what}; `nodescore label list` shows what there is")
        reader.revise_label(next_revision(found[-1], change(found[-1])))
        return reader.label_history(key)[-1]


def _line(one: Label) -> str:
    """A label on one line, whatever its texts are made of."""
    kind = "withdrawn" if one.withdrawn else one.verdict or ("attack" if one.attack else "normal")
    details = f": {one.details}" if one.details else ""
    return one_line(
        f"{one.key} {kind} {'/'.join(filter(None, one.name))} from {format_instant(one.start_ms)} "
        f"to {format_instant(one.end_ms)}, revision {one.revision} by {one.author}{details}"
    )


def _refuse_options(context: typer.Context) -> None:
    """Refuse what stands before a command behind this one: it would not be heard there."""
    for parameter in context.command.params:
        source = context.get_parameter_source(str(parameter.name))
        if source is not None and source.name == "COMMANDLINE":
            raise DataError(f"{parameter.opts[0]}: stands behind `{context.invoked_subcommand}`, not before it")


def _check_order(start_ms: int, end_ms: int) -> None:
    if end_ms < start_ms:
        raise DataError(f"--end {format_instant(end_ms)} is before --start {format_instant(start_ms)}")


def _attack(attack: bool | None, verdict: VerdictOption | None) -> bool:
    says = None if verdict is None else verdict in (VerdictOption.tp, VerdictOption.fn)
    if says is None and attack is None:
        raise DataError("say --attack or --normal, or a --verdict")
    if says is not None and attack is not None and says != attack:
        raise DataError(
            f"--verdict {verdict.value if verdict else ''} contradicts {'--attack' if attack else '--normal'}"
        )
    return bool(attack if says is None else says)
