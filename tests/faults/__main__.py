"""The durability harness by itself, at full length: `python -m tests.faults [--kills N] [--outage-seconds S]`.

Further arguments are pytest's. `make test` has every fault too, but few kills and short outages. Ends with the Markdown
table that stands in docs/reliability.md, and with pytest's status.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from tests.faults.conftest import DEFAULT_SEED, KILLS_VARIABLE, OUTAGE_VARIABLE, SEED_VARIABLE

# Over two stores, 100 kills.
KILLS = 50
OUTAGE_SECONDS = 120.0


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=KILLS, help="kill -9, over each store [%(default)s]")
    parser.add_argument(
        "--outage-seconds",
        type=float,
        default=OUTAGE_SECONDS,
        help="how long a database is down or slow, and a connection behind [%(default)s]",
    )
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="of all that is random [%(default)s]")
    given, others = parser.parse_known_args()
    environment = {
        **os.environ,
        KILLS_VARIABLE: str(given.kills),
        OUTAGE_VARIABLE: str(given.outage_seconds),
        SEED_VARIABLE: str(given.seed),
    }
    # A process of its own: pytest wants to import what it runs before anybody else does.
    argv = [sys.executable, "-m", "pytest", str(Path(__file__).parent), *others]
    return subprocess.run(argv, env=environment, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
