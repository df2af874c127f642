"""`nodescore mute`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Nodescore


def test_a_mute_is_listed_until_it_is_ended(nodescore: Nodescore, data_dir: Path) -> None:
    store = ("--data-dir", data_dir)
    made = nodescore("mute", "worker-1", "--for", "2h", "--reason", "backup", "--author", "ann", *store)
    assert made.status == 0
    assert made.out.startswith("worker-1 is muted until 20")
    until = made.out.split()[-1]
    assert nodescore("mute", "--list", *store).out == f"worker-1 until {until} by ann: backup\n"
    assert nodescore("mute", "worker-1", "--end", *store).out == "worker-1 is no longer muted\n"
    assert nodescore("mute", "--list", *store).out == ""


def test_what_a_terminal_would_obey_is_not_shown(nodescore: Nodescore, data_dir: Path) -> None:
    store = ("--data-dir", data_dir)
    nodescore("mute", "worker-1", "--for", "2h", "--reason", "a\x1b[2J\nb", "--author", "\x9bann", *store)
    shown = nodescore("mute", "--list", *store).out
    refused = nodescore("mute", "\x1b[2J\nb", "--for", "2h", *store).err
    assert shown.endswith("by  ann: a [2J b\n")
    assert refused.startswith("nodescore: --node  [2J b: the store has no such node")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["worker-1"], "say a node with --for or with --end, or --list"),
        ([], "say a node with --for or with --end, or --list"),
        (["worker-1", "--for", "1h", "--end"], "say a node with --for or with --end, or --list"),
        (["--list", "--end"], "say a node with --for or with --end, or --list"),
        (["worker-1", "--for", "8d"], "mute: lasts for more than 7 days"),
        (["worker-1", "--for", "long"], "--for: 'long' is not a duration; write it like 30s, 10m, 1h30m or 7d"),
        (["worker-1", "--end"], "node worker-1 is not muted"),
        (["w", "--for", "1h"], "--node w: the store has no such node"),
    ],
)
def test_what_cannot_be_muted_says_why(nodescore: Nodescore, data_dir: Path, arguments: list[str], line: str) -> None:
    done = nodescore("mute", *arguments, "--data-dir", data_dir)
    assert done.status == 2
    assert done.err.startswith(f"nodescore: {line}")
    assert nodescore("mute", "--list", "--data-dir", data_dir).out == ""
