"""What a fuzzer gives the wire decoder, and what must hold: `python -m tests.security.wire_fuzz CORPUS [OPTION…]`.

atheris finds inputs by the branches that they reach, so the loops run as Python here (`NUMBA_DISABLE_JIT`); whatever it
has found, `examine_all` then gives the compiled ones. An input is one byte, which says the version and whether what
follows is compressed already, and the message. Options are libFuzzer's: `-runs=N`, `-max_total_time=SECONDS`.

Whatever the bytes are, a decoder that has seen usual series before gives a batch or raises a `RequestError`, keeps what
the full parse keeps, and gives the same once more.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
VERSION_2, COMPRESSED = 1, 2
# Every field there is fits into some hundred bytes.
MAX_INPUT_BYTES = 4096


def seeds() -> list[bytes]:
    """Inputs to begin with: usual requests and unusual ones, of both versions."""
    from tests.wire.requests import MESSAGES, Series, series
    from tests.wire.test_decoder import LOOK_ALIKES, USUAL

    odd = Series([("A", "b"), *series("node_load1").labels], [], [(3, 4)], exemplars=1, metadata=True)
    requests = [[], USUAL, LOOK_ALIKES, [*USUAL, odd], [series("node_load1", time_ms=0)]]
    return [
        bytes([VERSION_2 if version == 2 else 0]) + message(several)
        for version, message in MESSAGES.items()
        for several in requests
    ]


def examiner() -> Callable[[bytes], None]:
    """What raises where something does not hold of an input."""
    import snappy

    from receiver import catalogue
    from receiver.errors import RequestError
    from receiver.series import SeriesTable
    from receiver.wire import Decoder
    from tests.wire.requests import HEADERS, NOW_MS, body
    from tests.wire.test_decoder import USUAL, kept

    wanted = catalogue.load()
    usual = {version: body(version, USUAL) for version in HEADERS}

    def examine(data: bytes) -> None:
        kind, message = (data[0], data[1:]) if data else (0, b"")
        headers = HEADERS[2 if kind & VERSION_2 else 1]
        request = message if kind & COMPRESSED else snappy.compress(message)
        decoder = Decoder(SeriesTable(wanted, max_series=1000, max_nodes=100), max_sample_age_seconds=3600)
        for version, known in usual.items():
            decoder.decode(known, HEADERS[version], NOW_MS)
        answers: list[list[tuple[int, int, int]] | None] = []
        for decode in (decoder.decode_whole, decoder.decode, decoder.decode):
            try:
                answers.append(kept(decode(request, headers, NOW_MS)).samples)
            except RequestError:
                answers.append(None)
        if answers.count(answers[0]) != len(answers):
            raise AssertionError(f"the full parse, a first look and a second one differ: {answers}")

    return examine


def examine_all(corpus: Path) -> int:
    """Give compiled loops every input of a corpus, of which there are so many."""
    examine = examiner()
    files = sorted(corpus.iterdir())
    for file in files:
        try:
            examine(file.read_bytes())
        except Exception as error:
            error.add_note(f"input {file}")
            raise
    return len(files)


def fuzz(corpus: Path, options: Sequence[str]) -> int:
    """Fuzz in a process of its own, then examine all that it has found; how many inputs. Raises `AssertionError`."""
    line = [sys.executable, "-m", "tests.security.wire_fuzz", str(corpus), *options]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"{done.stdout}\n{done.stderr}")
    return examine_all(corpus)


def main(corpus: Path, options: list[str]) -> None:
    """Fuzz; ends the process."""
    os.environ["NUMBA_DISABLE_JIT"] = "1"
    import atheris

    with atheris.instrument_imports(include=["receiver.wire", "receiver.series"]):
        import receiver.wire  # noqa: F401 - here, so that its branches are seen
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    given = [sys.argv[0], str(corpus), f"-max_len={MAX_INPUT_BYTES}", f"-artifact_prefix={corpus.parent}/", *options]
    atheris.Setup(given, examiner())
    atheris.Fuzz()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
