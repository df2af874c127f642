"""The command `nodescore`.

Each module below holds one command or one group; what it needs beyond the standard library it imports when it is
called, so that `--help` is quick and `serve` needs nothing of `models`. Errors of our tree, and files that the system
refuses, end the command with one line on standard error: status 2 where the operator has to change something, 1 where
it may work later.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from receiver import __version__
from receiver.cli import (
    demo,
    evaluate,
    export,
    label,
    models,
    mute,
    password_hash,
    relabel,
    replay,
    retrain,
    scenario,
    service,
    versions,
)
from receiver.cli.shown import line_of
from receiver.errors import ConfigurationError, NodescoreError

STATUS_WRONG = 2
STATUS_FAILED = 1
STATUS_INTERRUPTED = 130  # what shells use for a command that Ctrl-C ended


def build_app() -> typer.Typer:
    """All commands, in the order in which a newcomer meets them."""
    app = typer.Typer(
        name="nodescore",
        help="Scores every Kubernetes node for anomalies, from the samples that Prometheus sends.",
        epilog="Start with `nodescore demo`; then `nodescore serve`, and paste what `nodescore relabel` prints.",
        no_args_is_help=True,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_nodescore)
    for command in (
        demo.demo,
        service.serve,
        service.check,
        password_hash.password_hash,
        relabel.relabel,
        mute.mute,
        export.export,
        models.train,
        models.score,
        evaluate.evaluate,
        retrain.retrain,
        replay.replay,
    ):
        app.command()(command)
    app.add_typer(label.build())
    app.add_typer(versions.build())
    app.add_typer(scenario.build())
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; ends the process."""
    try:
        build_app()(args=arguments, prog_name="nodescore")
    except NodescoreError as error:
        _end(error, STATUS_WRONG if isinstance(error, ConfigurationError) else STATUS_FAILED)
    except BrokenPipeError:
        # Whoever read our output has enough. What is left in the buffer must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(STATUS_FAILED)
    except KeyboardInterrupt:
        sys.exit(STATUS_INTERRUPTED)
    except OSError as error:
        if error.filename is None:
            raise
        _end(error, STATUS_WRONG)


def _end(error: Exception, status: int) -> NoReturn:
    typer.echo(f"nodescore: {line_of(error)}", err=True)
    sys.exit(status)


def _nodescore(
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=lambda on: _show_version(on), help="Show the version.")
    ] = False,
) -> None:
    pass


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"nodescore {__version__}")
        raise typer.Exit
