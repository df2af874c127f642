"""`nodescore scenario`, without a node."""

from pathlib import Path

import pytest

from models.scenarios.attacks import KINDS
from receiver.cli import main


def ended(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as exit_:
        main(["scenario", *arguments])
    return (exit_.value.code, *capsys.readouterr())


def test_every_kind_is_listed_with_its_strengths_and_what_it_moves(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = ended(capsys, "list")
    assert status == 0
    for kind in KINDS.values():
        assert f"{kind.name}: {kind.says}" in out
        assert ", ".join(kind.moves) in out


@pytest.mark.parametrize("command", ["list", "run", "record"])
def test_every_command_has_a_help_with_an_example(capsys: pytest.CaptureFixture[str], command: str) -> None:
    status, out, _ = ended(capsys, command, "--help")
    assert status == 0
    assert f" nodescore scenario {command}" in out.split("Usage:")[1].split("\n", 1)[1]


def test_an_unknown_attack_is_refused_with_those_that_are_known(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = ended(capsys, "run", "earthquake")
    assert status == 2
    assert err == f"nodescore: no attack is called 'earthquake'; there are: {', '.join(KINDS)}\n"


def test_a_strength_beyond_the_strongest_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    _, _, err = ended(capsys, "run", "port-scan", "--strength", "100000")
    assert err == "nodescore: --strength 100000: port-scan goes to 1000 ports a second\n"


def test_unfamiliar_work_is_only_that_of_nodes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    _, _, err = ended(capsys, "record", str(tmp_path / "sessions"), "--unfamiliar", "--catalogue", "pod")
    assert err == "nodescore: --unfamiliar: there is no such work for --catalogue pod\n"
    assert not (tmp_path / "sessions").exists()
