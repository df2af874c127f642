"""Short runs of what `make fuzz` runs for longer."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.security import api_fuzz, wire_fuzz
from tests.servers.process import Runner


@pytest.mark.skipif(find_spec("atheris") is None, reason="no atheris: it is built for Linux on x86-64 only")
def test_whatever_a_fuzzer_finds_the_wire_decoder_takes_it_as_the_full_parse_does_or_refuses_it(tmp_path: Path) -> None:
    found = wire_fuzz.fuzz(tmp_path / "corpus", ["-runs=500", "-seed=1"])
    assert found > len(wire_fuzz.seeds())


def test_the_api_answers_as_it_is_described_whatever_it_is_asked(run_server: Runner, tmp_path: Path) -> None:
    service = run_server(api_fuzz.Asked(tmp_path))
    service.send_node()
    api_fuzz.fuzz(service, tmp_path, ["--max-examples=10", "--phases=examples,coverage,fuzzing", "--seed=5"])
