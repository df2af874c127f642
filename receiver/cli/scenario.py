"""`nodescore scenario list`, `run`, `record`: real attacks on nodes of this machine, and data sets of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from receiver.cli.extras import needing
from receiver.cli.places import check_file, make_folder
from receiver.cli.processes import end_in_order
from receiver.errors import DataError

if TYPE_CHECKING:
    from models.scenarios.attacks import Kind

BEFORE_SECONDS = 60.0
AFTER_SECONDS = 30.0
EXTRA_MODULES = ("mfusepy", "models", "pyarrow")

FolderArgument = Annotated[Path, typer.Argument(help="Of session-SEED.parquet and session-SEED.episodes.csv.")]


def build() -> typer.Typer:
    """The group of commands."""
    group = typer.Typer(
        name="scenario",
        help="Attack nodes made on this machine, and record what that does. Linux, root; nothing else is touched.",
        no_args_is_help=True,
    )
    group.command("list")(list_)
    group.command("run")(run)
    group.command("record")(record)
    return group


def list_() -> None:
    """The kinds of attack, their strengths, and the features that each moves.

    nodescore scenario list
    """
    for kind in _kinds().values():
        strengths = ", ".join(f"{strength:g}" for strength in kind.strengths)
        typer.echo(f"{kind.name}: {kind.says}")
        typer.echo(f"    strength  {strengths} {kind.unit}; {kind.seconds[0]} to {kind.seconds[1]} s")
        typer.echo(f"    moves     {', '.join(kind.moves)}")


def run(
    name: Annotated[str, typer.Argument(help="One that `list` shows.")],
    strength: Annotated[
        float | None, typer.Option(help="In the kind's unit. [default: its strongest]", show_default=False)
    ] = None,
    seconds: Annotated[int, typer.Option(min=10, max=300)] = 60,
    out: Annotated[Path, typer.Option(help="Folder of the recording; one of an earlier run is replaced.")] = Path(
        "scenario"
    ),
) -> None:
    """Attack one node, and show what it did to the node's features.

    A node is made on this machine, at work; after a minute it is attacked, and half a minute later it is taken down.

        nodescore scenario run cryptojacking --strength 0.5
    """
    kind = _kinds().get(name)
    if kind is None:
        raise DataError(f"no attack is called {name!r}; there are: {', '.join(_kinds())}")
    if strength is not None and not 0 < strength <= max(kind.strengths):
        raise DataError(f"--strength {strength:g}: {name} goes to {max(kind.strengths):g} {kind.unit}")
    make_folder(out)
    end_in_order()
    with needing("scenarios", EXTRA_MODULES):
        from models.scenarios import dataset
        from models.scenarios.effect import effect
        from models.scenarios.plan import single
        from models.scenarios.session import record as record_session

        plan = single(name, strength or max(kind.strengths), seconds, BEFORE_SECONDS, AFTER_SECONDS)
        dataset.forget(out, plan.seed)
        path = record_session(plan, out, typer.echo)
        typer.echo(f"{path}\n{'feature':<18} {'before':>12} {'attacked':>12}")
        for moved in effect(path)[:8]:
            typer.echo(f"{moved.feature:<18} {moved.before:>12.4g} {moved.attacked:>12.4g}")


def record(
    folder: FolderArgument,
    minutes: Annotated[float, typer.Option(min=1, help="Of the session; a fifth of it is without attacks.")] = 30,
    seed: Annotated[int, typer.Option(min=1, help="Of the plan and the work; it names the session.")] = 1,
    nodes: Annotated[int, typer.Option(min=1, max=20, help="Made on this machine, 0.15 CPU each at the most.")] = 6,
    rounds: Annotated[
        int | None,
        typer.Option(min=1, help="Of all kinds of attack, at most. [default: as many as fit]", show_default=False),
    ] = None,
    catalogue: Annotated[
        Literal["node24", "application", "pod"],
        typer.Option(help="Take each node for an application or a pod; see docs/applications.md."),
    ] = "node24",
    unfamiliar: Annotated[
        bool, typer.Option("--unfamiliar", help="Nodes do work too that the shipped models know nothing of.")
    ] = False,
    recording: Annotated[
        Path | None, typer.Option(help="Keep what Prometheus sends too, for `demo --recording` and `replay`.")
    ] = None,
) -> None:
    """Record a session: nodes at normal work, attacked at times, every attack labelled.

    The folder may hold other sessions. Attacks take at most 40 % of a node's time.

        nodescore scenario record sessions --minutes 30 --seed 7
    """
    if unfamiliar and catalogue != "node24":
        raise DataError(f"--unfamiliar: there is no such work for --catalogue {catalogue}")
    make_folder(folder)
    if recording is not None:
        check_file(recording)
    end_in_order()
    with needing("scenarios", EXTRA_MODULES):
        from models.scenarios.applications import APPLICATIONS, PODS
        from models.scenarios.level import NODES, UNFAMILIAR
        from models.scenarios.plan import MOST_ROUNDS, plan
        from models.scenarios.session import record as record_session

        usual = next(one for one in (NODES, APPLICATIONS, PODS) if one.catalogue == catalogue)
        level = UNFAMILIAR if unfamiliar else usual
        names = [f"s{seed}-{level.catalogue[0]}{number}" for number in range(nodes)]
        planned = plan(seed, names, minutes, rounds or MOST_ROUNDS, level.kinds)
        path = record_session(planned, folder, typer.echo, recording, level)
    typer.echo(f"{path}: {path.stat().st_size} bytes")


def _kinds() -> dict[str, Kind]:
    with needing("scenarios", EXTRA_MODULES):
        from models.scenarios.attacks import KINDS

        return KINDS
