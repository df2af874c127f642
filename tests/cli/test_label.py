"""`nodescore label`."""

import csv
from pathlib import Path

import pytest

from receiver.columns import NodeName
from tests.cli.conftest import Nodescore, fill

TIMES = ("--start", "2026-11-20T08:00:10Z", "--end", "2026-11-20T08:00:30Z")


def marked(nodescore: Nodescore, data_dir: Path) -> list[tuple[str, str]]:
    """Time and node of the rows that are exported as attacks."""
    rows = csv.DictReader(nodescore("export", "--data-dir", data_dir).out.splitlines())
    return [(row["time"][11:19], row["node"]) for row in rows if row["attack"] == "1"]


def test_a_marked_interval_is_exported_as_an_attack_of_that_node_both_ends_included(
    nodescore: Nodescore, data_dir: Path
) -> None:
    done = nodescore("label", "--node", "worker-2", *TIMES, "--attack", "--data-dir", data_dir)
    assert (done.status, done.out) == (
        0,
        "label 1: worker-2 attack from 2026-11-20T08:00:10Z to 2026-11-20T08:00:30Z\n",
    )
    assert marked(nodescore, data_dir) == [(f"08:00:{s}", "worker-2") for s in (10, 20, 30)]


def test_a_time_without_scores_is_marked_with_a_hint_at_the_nearest_that_has_some(
    nodescore: Nodescore, data_dir: Path
) -> None:
    in_another_zone = ("--start", "2026-11-20T09:00:10Z", "--end", "2026-11-20T09:00:30Z")
    done = nodescore("label", "--node", "worker-1", *in_another_zone, "--attack", "--data-dir", data_dir)
    assert (done.status, done.err) == (
        0,
        "nothing is scored in this time; its last score before is of 2026-11-20T08:00:50.000Z\n",
    )
    assert nodescore("label", "--node", "worker-1", *TIMES, "--attack", "--data-dir", data_dir).err == ""


@pytest.mark.parametrize(("verdict", "kind"), [("TP", "attack"), ("FN", "attack"), ("FP", "normal"), ("TN", "normal")])
def test_a_verdict_says_what_it_was(nodescore: Nodescore, data_dir: Path, verdict: str, kind: str) -> None:
    done = nodescore("label", "--node", "worker-1", *TIMES, "--verdict", verdict, "--data-dir", data_dir)
    assert f"worker-1 {kind} from" in done.out


def test_a_later_label_corrects_an_earlier_one(nodescore: Nodescore, data_dir: Path) -> None:
    nodescore("label", "--node", "worker-1", *TIMES, "--attack", "--data-dir", data_dir)
    correction = ("--start", "2026-11-20T08:00:20Z", "--end", "2026-11-20T08:00:59Z", "--normal")
    nodescore("label", "--node", "worker-1", *correction, "--data-dir", data_dir)
    assert marked(nodescore, data_dir) == [("08:00:10", "worker-1")]


def test_equal_names_in_two_clusters_have_to_be_told_apart(nodescore: Nodescore, tmp_path: Path) -> None:
    data_dir = fill(tmp_path / "two", nodes={0: NodeName("eu", "w"), 1: NodeName("us", "w")})
    unclear = nodescore("label", "--node", "w", *TIMES, "--attack", "--data-dir", data_dir)
    assert (unclear.status, unclear.err) == (
        2,
        "nodescore: --node w: is in several clusters; say --cluster, one of 'eu', 'us'\n",
    )
    nodescore("label", "--node", "w", "--cluster", "us", *TIMES, "--attack", "--data-dir", data_dir)
    exported = nodescore("export", "--data-dir", data_dir).out.splitlines()
    assert {line.split(",")[2] for line in exported if line.endswith(",1")} == {"us"}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--node", "w", *TIMES, "--attack"], "--node w: the store has no such node; it has: worker-1, worker-2"),
        (["--node", "worker-1", *TIMES], "say --attack or --normal, or a --verdict"),
        (["--node", "worker-1", *TIMES, "--attack", "--verdict", "FP"], "--verdict FP contradicts --attack"),
        (
            ["--node", "worker-1", "--start", "-5m", "--end", "2020-01-01", "--attack"],
            "--end 2020-01-01T00:00:00Z is before --start ",
        ),
        (
            ["--node", "worker-1", "--start", "noon", "--attack"],
            "--start: 'noon' is not a time; write it like 2026-11-20T08:00:00Z, or -10m for ten minutes ago",
        ),
    ],
)
def test_what_cannot_be_marked_says_why(nodescore: Nodescore, data_dir: Path, arguments: list[str], line: str) -> None:
    done = nodescore("label", *arguments, "--data-dir", data_dir)
    assert done.status == 2
    assert done.err.startswith(f"nodescore: {line}")
    assert done.err.count("\n") == 1


def test_without_a_store_the_line_says_who_makes_it(nodescore: Nodescore, tmp_path: Path) -> None:
    done = nodescore("label", "--node", "w", *TIMES, "--attack", "--data-dir", tmp_path / "none")
    assert done.status == 2
    assert "no such file; `nodescore serve` makes it" in done.err


@pytest.fixture
def key(nodescore: Nodescore, data_dir: Path) -> str:
    """A label that calls an interval of worker-2 an attack."""
    said = ("--verdict", "TP", "--details", "port\x1b[31m scan", "--author", "ann", "--data-dir", data_dir)
    nodescore("label", "--node", "worker-2", *TIMES, *said)
    return listed(nodescore, data_dir).split(" ")[0]


def listed(nodescore: Nodescore, data_dir: Path, *more: str) -> str:
    return nodescore(
        "label", "list", "--since", "2026-11-01", "--until", "2026-12-01", "--data-dir", data_dir, *more
    ).out


def test_labels_are_listed_a_line_each_with_key_and_revision(nodescore: Nodescore, data_dir: Path, key: str) -> None:
    assert listed(nodescore, data_dir) == (
        f"{key} TP worker-2 from 2026-11-20T08:00:10Z to 2026-11-20T08:00:30Z, revision 1 by ann: port [31m scan\n"
    )
    assert listed(nodescore, data_dir, "--node", "worker-1") == ""


def test_an_edit_keeps_what_it_does_not_name_and_holds_from_then_on(
    nodescore: Nodescore, data_dir: Path, key: str
) -> None:
    change = ("--end", "2026-11-20T08:00:20Z", "--author", "bob")
    done = nodescore("label", "edit", key, *change, "--data-dir", data_dir)
    assert (done.status, done.err) == (0, "")
    assert "TP worker-2 from 2026-11-20T08:00:10Z to 2026-11-20T08:00:20Z, revision 2 by bob: port" in done.out
    assert marked(nodescore, data_dir) == [("08:00:10", "worker-2"), ("08:00:20", "worker-2")]


def test_a_withdrawn_label_is_no_longer_listed_and_may_be_said_again(
    nodescore: Nodescore, data_dir: Path, key: str
) -> None:
    assert " withdrawn worker-2 " in nodescore("label", "withdraw", key, "--data-dir", data_dir).out
    assert listed(nodescore, data_dir) == ""
    assert marked(nodescore, data_dir) == []
    assert "revision 3" in nodescore("label", "edit", key, "--verdict", "FN", "--data-dir", data_dir).out
    assert len(marked(nodescore, data_dir)) == 3


def test_a_change_of_what_somebody_else_has_changed_is_told(nodescore: Nodescore, data_dir: Path, key: str) -> None:
    nodescore("label", "edit", key, "--verdict", "FP", "--author", "bob", "--data-dir", data_dir)
    for command in (("withdraw", key), ("edit", key, "--details", "mine")):
        done = nodescore("label", *command, "--revision", "1", "--data-dir", data_dir)
        assert done.status != 0
        assert f"label {key}: revision 2 holds now, not 1: bob says FP" in done.err
    assert "revision 2 by bob" in listed(nodescore, data_dir)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["edit", "beef", "--verdict", "FP"], "there is no label beef; `nodescore label list` shows what there is"),
        (["edit", "KEY", "--revision", "7"], "label KEY has no revision 7; "),
        (["edit", "KEY", "--normal"], "--verdict TP contradicts --normal"),
        (["edit", "KEY", "--start", "2026-11-21"], "--end 2026-11-20T08:00:30Z is before --start 2026-11-21T00:00:00Z"),
        (["--node", "worker-1", "list"], "--node: stands behind `list`, not before it"),
        (["--node", "worker-1"], "--start is needed to mark an interval"),
    ],
)
def test_what_cannot_be_changed_says_why(
    nodescore: Nodescore, data_dir: Path, key: str, arguments: list[str], line: str
) -> None:
    given = [key if argument == "KEY" else argument for argument in arguments]
    at = () if given[0] == "--node" else ("--data-dir", data_dir)
    done = nodescore("label", *given, *at)
    assert (done.status, done.err.startswith(f"nodescore: {line.replace('KEY', key)}")) == (2, True), done.err
