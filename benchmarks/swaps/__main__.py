"""A thousand hot swaps of the model on a running service under remote-write load.

Ends with status 1 where a score was lost, doubled or mixed, or an answer beside a swap took longer than 250 ms.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
from pathlib import Path

from benchmarks.node_exporter import scrape, with_series
from benchmarks.swaps.run import Load, Outcome, run

LONGEST_ANSWER_MS = 250


def faults(one: Outcome) -> list[str]:
    """What must not be."""
    counts = {
        "acknowledged rows without a score": one.stored.lost,
        "scores that do not know each row before them once": one.stored.miscounted,
        "scores of another version than they are stored with": one.stored.mixed,
        "rows scored more than once": one.scored - one.stored.rows,
        "requests refused or repeated": one.retries + one.refused,
        "swaps not counted by the service": one.load.swaps - one.swaps_counted,
    }
    found = [f"{count} {what}" for what, count in counts.items() if count]
    if one.answer_ms[2] > LONGEST_ANSWER_MS:
        found.append(f"an answer beside a swap took {one.answer_ms[2]:.0f} ms")
    return found


def table(one: Outcome) -> str:
    """A line for each figure."""
    versions = " / ".join(f"{count:,}" for count in one.stored.by_version.values())
    rows = {
        "swaps": f"{one.load.swaps:,}, in {one.seconds:.0f} s",
        "load": f"{one.load.nodes} nodes every {one.load.interval_seconds:g} s, {one.samples:,} samples",
        "rows scored, by version": f"{one.stored.rows:,}: {versions}",
        "scores lost / doubled / mixed": f"{one.stored.lost} / {one.scored - one.stored.rows} / {one.stored.mixed}",
        "scores that do not know each row before them once": str(one.stored.miscounted),
        "from order to use, s: p50 / p99 / most": " / ".join(f"{value:.2f}" for value in one.swap_seconds),
        "answer beside a swap, ms: p50 / p99 / most": " / ".join(f"{value:.1f}" for value in one.answer_ms),
        "other answers, ms: p50 / p99 / most": " / ".join(f"{value:.1f}" for value in one.quiet_ms),
    }
    return "\n".join(["| | |", "| --- | ---: |", *(f"| {name} | {value} |" for name, value in rows.items())])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--exposition", type=Path, help="text exposition of a node_exporter")
    parser.add_argument("--swaps", type=int, default=1000)
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--series", type=int, default=1500, help="of a node")
    parser.add_argument("--interval", type=float, default=2.0, help="seconds")
    parser.add_argument("--shards", type=int, default=8, help="connections")
    given = parser.parse_args()
    scraped = with_series(scrape(given.exposition), given.series)
    with tempfile.TemporaryDirectory() as folder:
        outcome = run(scraped, Load(given.nodes, given.interval, given.shards, given.swaps), Path(folder))
    print(f"{platform.platform()}, Python {platform.python_version()}\n\n{table(outcome)}")
    found = faults(outcome)
    for fault in found:
        print(f"FAULT: {fault}", file=sys.stderr)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
