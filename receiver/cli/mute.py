"""`nodescore mute`: keep a node's alerts quiet for a while."""

from __future__ import annotations

import getpass
import time
from typing import Annotated

import typer

from receiver.cli import options
from receiver.cli.shown import one_line
from receiver.cli.stores import named, reading
from receiver.errors import DataError
from receiver.web.instants import format_instant, parse_duration_ms


def mute(
    node: Annotated[
        str | None, typer.Argument(help="The node, as it is named in its scores.", show_default=False)
    ] = None,
    for_: Annotated[
        str | None, typer.Option("--for", help="How long, like 2h; at most 7d.", show_default=False)
    ] = None,
    reason: Annotated[str, typer.Option(help="Free text, kept with the mute.")] = "",
    end: Annotated[bool, typer.Option("--end", help="End the node's mute now.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="Show the mutes that hold now.")] = False,
    cluster: Annotated[str | None, typer.Option(help="Needed where several clusters have the node.")] = None,
    author: Annotated[str | None, typer.Option(help="[default: who runs this]", show_default=False)] = None,
    data_dir: options.DataDirOption = None,
    store: options.StoreOption = None,
    config: options.ConfigOption = None,
) -> None:
    """Keep a node's alerts quiet for a while; running services follow in 10 s.

    Scores, storing and learning go on. A false alarm is marked by `nodescore label`, so that the model learns not to
    raise its like; a mute bridges the time until then.

        nodescore mute worker-1 --for 2h --reason "nightly backup, marked as FP"

        nodescore mute worker-1 --end

        nodescore mute --list
    """
    from receiver.store.mutes import MAX_MUTE_MS, following, latest

    if (node is None) != list_ or (node is not None and (for_ is None) != end) or (list_ and (end or for_ is not None)):
        raise DataError("say a node with --for or with --end, or --list")
    settings, catalogue = options.load(config, data_dir=data_dir, store=store)
    now_ms = int(time.time() * 1000)
    with reading(settings, catalogue) as reader:
        last = latest(reader.mutes(now_ms - MAX_MUTE_MS))
        held = {name: entry for name, entry in last.items() if entry.holds(now_ms)}
        if node is None:
            for name in sorted(held):
                entry = held[name]
                why = f": {entry.reason}" if entry.reason else ""
                until = format_instant(entry.until_ms)
                typer.echo(one_line(f"{'/'.join(filter(None, name))} until {until} by {entry.author}{why}"))
            return
        name = named(sorted(reader.nodes().values()), node, cluster)
        if end and name not in held:
            raise DataError(f"node {node} is not muted")
        entry = following(last.get(name), name, _duration_ms(for_), reason, author or getpass.getuser(), now_ms)
        reader.add_mute(entry)
    typer.echo(f"{node} is {'no longer muted' if end else 'muted until ' + format_instant(entry.until_ms)}")


def _duration_ms(text: str | None) -> int:
    """0 for none: the mute ends."""
    try:
        return 0 if text is None else parse_duration_ms(text)
    except ValueError as error:
        raise DataError(f"--for: {error}") from None
