"""The command line as a whole."""

import subprocess
import sys
from pathlib import Path

import pytest

import receiver
from receiver.cli import build_app
from tests.cli.conftest import Nodescore

COMMANDS = [
    command.callback.__name__.replace("_", "-") for command in build_app().registered_commands if command.callback
]


def test_the_version_is_told(nodescore: Nodescore) -> None:
    assert nodescore("--version").out == f"nodescore {receiver.__version__}\n"


def test_python_m_receiver_is_the_same_command() -> None:
    told = subprocess.run([sys.executable, "-m", "receiver", "--version"], capture_output=True, text=True, check=True)
    assert told.stdout == f"nodescore {receiver.__version__}\n"


def test_without_arguments_all_commands_are_listed(nodescore: Nodescore) -> None:
    shown = nodescore()
    assert all(command in shown.out + shown.err for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help_with_an_example(nodescore: Nodescore, command: str) -> None:
    shown = nodescore(command, "--help")
    assert shown.status == 0
    assert f" nodescore {command}" in shown.out.split("Usage:")[1].split("\n", 1)[1]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["serve", "--listen", "nonsense"], "setting listen: Value error, must be HOST:PORT, like 127.0.0.1:9201"),
        (["serve", "--store", "mysql://x"], "setting store: Value error, must start with postgresql://"),
        (
            ["relabel", "--config", "none.toml"],
            "settings file none.toml: [Errno 2] No such file or directory: 'none.toml'",
        ),
    ],
)
def test_a_wrong_setting_ends_with_one_line_and_status_2(nodescore: Nodescore, arguments: list[str], line: str) -> None:
    ended = nodescore(*arguments)
    assert (ended.status, ended.out, ended.err) == (2, "", f"nodescore: {line}\n")


def test_the_environment_and_the_file_are_read(
    nodescore: Nodescore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.toml").write_text('listen = "127.0.0.1:1111"\ndata_dir = "from-file"')
    monkeypatch.setenv("NODESCORE_LISTEN", "127.0.0.1:2222")
    assert "settings: listen on 127.0.0.1:2222, data in from-file" in nodescore("check", "--config", "a.toml").out


def test_the_relabel_rules_are_printed_as_prometheus_reads_them(nodescore: Nodescore) -> None:
    printed = nodescore("relabel", "--url", "http://scores:9201/api/v1/write").out
    assert 'url: "http://scores:9201/api/v1/write"' in printed
    assert 'targets: ["scores:9201"]' in printed


def test_an_address_without_a_path_is_that_of_remote_write_and_one_that_is_none_is_refused(
    nodescore: Nodescore,
) -> None:
    assert 'url: "https://scores/api/v1/write"' in nodescore("relabel", "--url", "https://scores").out
    refused = nodescore("relabel", "--url", "scores:9201/api/v1/write")
    assert (refused.status, refused.out) == (2, "")
    assert refused.err == (
        "nodescore: --url scores:9201/api/v1/write: must be http://HOST[:PORT][/PATH] or https://…\n"
    )


def test_help_needs_nothing_of_the_service_or_of_training() -> None:
    program = "import sys, receiver.cli; receiver.cli.build_app(); print(*sorted(sys.modules))"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"onnxruntime", "fastapi", "uvicorn", "sklearn", "pyarrow", "psycopg", "models"} & set(
        told.stdout.split()
    )
