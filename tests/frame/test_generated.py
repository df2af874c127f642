"""The committed protobuf code is what the compiler makes of proto/: `make proto` writes it anew."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "proto").glob("*.proto"))
GENERATED = ROOT / "receiver" / "wire"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("protoc")
    files = [str(path) for path in SOURCES]
    argv = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'proto'}", f"--python_out={out}"]
    subprocess.run([*argv, f"--pyi_out={out}", *files], check=True)
    return out


def test_nothing_is_generated_from_a_source_that_is_gone(compiled: Path) -> None:
    assert {path.name for path in compiled.iterdir()} == {path.name for path in GENERATED.glob("*_pb2.py*")}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
@pytest.mark.parametrize("suffix", ["py", "pyi"])
def test_the_generated_code_is_up_to_date(compiled: Path, source: Path, suffix: str) -> None:
    name = f"{source.stem}_pb2.{suffix}"
    assert (GENERATED / name).read_text(encoding="utf-8") == (compiled / name).read_text(encoding="utf-8")
