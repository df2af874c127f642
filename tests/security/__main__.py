"""Fuzzing for as long as one likes: `python -m tests.security [MINUTES]`, or `make fuzz`.

Half of the time goes to the wire decoder, half to the API of a real service. What is found ends it, with the input.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

from tests.security import api_fuzz, wire_fuzz

MINUTES = 10.0


def main(minutes: float) -> None:
    """Raises `AssertionError` where something is found, and leaves the folder that it names."""
    folder = Path(tempfile.mkdtemp(prefix="nodescore-fuzz-"))
    seconds = int(minutes * 30)
    seed = random.getrandbits(31)
    print(f"in {folder}, with the seed {seed}", flush=True)
    found = wire_fuzz.fuzz(folder / "corpus", [f"-max_total_time={seconds}", f"-seed={seed}"])
    print(f"the wire decoder: {found} inputs that differ in what they reach, nothing found", flush=True)
    service = api_fuzz.Asked(folder)
    service.start()
    try:
        service.send_node()
        print(api_fuzz.fuzz(service, folder, [f"--max-time={seconds}", f"--seed={seed}"]))
    finally:
        service.stop()


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else MINUTES)
