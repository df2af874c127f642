"""The durability harness by itself: `python -m tests.faults [--kills N] [--seed N]`; further arguments are pytest's.

Ends with the Markdown table that stands in the README, and with pytest's status.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from tests.faults.conftest import DEFAULT_KILLS, DEFAULT_SEED, KILLS_VARIABLE, SEED_VARIABLE


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=DEFAULT_KILLS, help="kill -9, over each store [%(default)s]")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="of all that is random [%(default)s]")
    given, others = parser.parse_known_args()
    environment = {**os.environ, KILLS_VARIABLE: str(given.kills), SEED_VARIABLE: str(given.seed)}
    # A process of its own: pytest wants to import what it runs before anybody else does.
    argv = [sys.executable, "-m", "pytest", str(Path(__file__).parent), *others]
    return subprocess.run(argv, env=environment, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
