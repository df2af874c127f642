"""The lock files in requirements/, which uv makes of pyproject.toml: `make lock`.

`serve.txt` is what the service needs, with TimescaleDB; `train.txt` is the same in the same versions, and what training
needs; `build.txt` is what makes the wheel, `sbom.txt` what lists all that an environment holds. They hold for every
platform and for Python 3.11 and later, with the hashes of all files that a version has. A version that is locked stays
as long as pyproject.toml allows it; `make lock ARGS=--upgrade` takes the newest ones.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "requirements"
LOCKS: Mapping[str, Sequence[str]] = {"serve.txt": ("timescale",), "train.txt": ("timescale", "train")}
# What does not go with the service, by where pyproject.toml says it.
TOOLS: Mapping[str, tuple[str, str]] = {
    "build.txt": ("build-system", "requires"),
    "sbom.txt": ("dependency-groups", "sbom"),
}


@dataclass(frozen=True, slots=True)
class Locked:
    """A line of a lock file."""

    requirement: Requirement
    hashes: tuple[str, ...]

    @property
    def version(self) -> str:
        """The one that it is pinned to; ValueError where it is not pinned to one."""
        (pin,) = self.requirement.specifier
        if pin.operator != "==" or pin.version.endswith("*"):
            raise ValueError(f"{self.requirement} is not pinned")
        return pin.version


def project() -> Mapping[str, Any]:
    """What pyproject.toml says."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def locked(name: str) -> list[Locked]:
    """What a lock file has."""
    text = (FOLDER / name).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return [
        Locked(Requirement(line.split(" --hash")[0]), tuple(re.findall(r"--hash=sha256:([0-9a-f]{64})\b", line)))
        for line in lines
    ]


def _compile(name: str, source: str, arguments: Sequence[str], given: str | None = None) -> None:
    uv = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-config", "--no-emit-index-url"]
    how = ["--universal", "--python-version=3.11", "--generate-hashes", "--no-annotate"]
    line = [*uv, *how, "--custom-compile-command=make lock", f"--output-file={FOLDER / name}", *arguments, source]
    subprocess.run(line, cwd=ROOT, input=given, text=True, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    for file, extras in LOCKS.items():
        # The other files go by the first one's versions, so that training makes what serving runs.
        constraint = [] if file == "serve.txt" else [f"--constraint={FOLDER / 'serve.txt'}"]
        _compile(file, "pyproject.toml", [*(f"--extra={extra}" for extra in extras), *constraint, *sys.argv[1:]])
    for file, (table, key) in TOOLS.items():
        _compile(file, "-", sys.argv[1:], given="\n".join(project()[table][key]))
