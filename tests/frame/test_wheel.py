"""The built wheel works where there is no source tree, and holds all that the packages read at run time."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("receiver", "models")
# Isolated, and without the start-up files of site-packages, one of which points at the source tree.
IN_THE_WHEEL = "import sys; sys.path[:0] = sys.argv[1:3]; del sys.argv[1:3]; "


def command(argv: Sequence[str], folder: Path) -> str:
    """What a command says that has to succeed."""
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built by the build backend itself, without an environment of its own to be fetched."""
    out = tmp_path_factory.mktemp("wheel")
    command([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)], ROOT)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", f"--target={target}"]
    command([*pip, str(wheel)], target)
    return target


def run(installed: Path, code: str, *arguments: str) -> str:
    """What Python code says that sees the installed wheel and the dependencies, and no source tree."""
    argv = [sys.executable, "-I", "-S", "-c", IN_THE_WHEEL + code, str(installed), sysconfig.get_path("purelib")]
    return command([*argv, *arguments], installed)


def test_the_wheel_holds_every_tracked_file_of_the_packages_and_nothing_else(wheel: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = command(["git", "ls-files", *PACKAGES], ROOT)
    names = zipfile.ZipFile(wheel).namelist()
    missing = {name for name in listed.split() if (ROOT / name).exists()} - set(names)
    assert missing == set()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == set(PACKAGES)


def test_the_installed_package_is_the_one_that_is_imported(installed: Path) -> None:
    assert run(installed, "import receiver; print(receiver.__file__)").startswith(str(installed))


def test_the_catalogue_is_found_without_the_source_tree(installed: Path) -> None:
    assert run(installed, "from receiver import catalogue; print(len(catalogue.load().features))") == "24\n"


def test_the_command_runs_without_the_source_tree(installed: Path) -> None:
    assert "serve" in run(installed, "from receiver.cli import main; main()", "--help")


def test_check_finds_the_shipped_model_without_the_source_tree(installed: Path, tmp_path: Path) -> None:
    run(installed, "from receiver.cli import main; main()", "check", "--data-dir", str(tmp_path / "data"))
