"""Every command of `nodescore` and its options, of what `--help` says."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from receiver.cli import build_app
from tests.docs.reference.markdown import code, table

HEAD = """\
# Commands

Each explains itself with `--help`. A command ends with status 0 when it has done what it was asked for, with 2 when
something in it, its settings or its files has to be changed, and with 1 when it may work later; then one line on
standard error says what was wrong.

"""
ROOT = "nodescore"
EXAMPLES = (
    "<!-- not run: examples of the command's own help, which the tests of the command run with values of theirs -->"
)


def page() -> str:
    """A section for each command, in the order of `--help`."""
    return HEAD + "\n".join(_section(name, command) for name, command in commands() if name != ROOT)


def commands() -> list[tuple[str, TyperCommand | TyperGroup]]:
    """All commands and groups of commands, by how they are called."""
    return list(_below(ROOT, typer.main.get_command(build_app())))


def _below(name: str, command: object) -> Iterator[tuple[str, TyperCommand | TyperGroup]]:
    if not isinstance(command, TyperCommand | TyperGroup):
        raise TypeError(f"{name} is a {type(command).__name__}")
    yield name, command
    if isinstance(command, TyperGroup):
        for one, below in command.commands.items():
            yield from _below(f"{name} {one}", below)


def _section(name: str, command: TyperCommand | TyperGroup) -> str:
    arguments = [one for one in command.params if isinstance(one, TyperArgument)]
    options = [one for one in command.params if isinstance(one, TyperOption)]
    words = [name, *(_named(one) for one in arguments)]
    parameters: list[TyperArgument | TyperOption] = [*arguments, *options]
    rows = [[code(_called(one)), _meaning(one)] for one in parameters]
    level = "###" if name.count(" ") > 1 else "##"
    parts = [f"{level} `{' '.join(words)}`", *_help(command.help or "")]
    if rows:
        parts.append(table(["", "meaning"], rows))
    return "\n\n".join(parts).rstrip() + "\n"


def _help(text: str) -> Iterator[str]:
    """Its paragraphs; those that are indented, or are a command as a whole, are examples."""
    examples: list[str] = []
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        lines = [line.strip() for line in paragraph.splitlines()]
        if lines[0].startswith(f"{ROOT} "):
            examples += lines
        else:
            yield "\n".join(lines)
    if examples:
        yield "\n".join([EXAMPLES, "```sh", *examples, "```"])


def _named(argument: TyperArgument) -> str:
    name = (argument.name or "").upper()
    return name if argument.required else f"[{name}]"


def _called(parameter: TyperArgument | TyperOption) -> str:
    if isinstance(parameter, TyperArgument):
        return (parameter.name or "").upper()
    return ", ".join([*parameter.opts, *parameter.secondary_opts])


def _meaning(parameter: TyperArgument | TyperOption) -> str:
    text = parameter.help or ""
    shown = parameter.show_default is not False and parameter.default not in (None, False, "", ())
    return f"{text} [default: {_value(parameter.default)}]" if shown else text


def _value(default: object) -> str:
    return str(getattr(default, "value", default))
