"""Print the table: `python -m benchmarks.ingest [--nodes 100] [--cpus 8] [--scrapes 60] [--json FILE]`.

In: a real node_exporter's exposition (--exposition, or one is started). Each receiver gets the same requests, one
after the other, in each case: unfiltered v1, unfiltered v2, pre-filtered to the catalogue; first when every series is
new to it (cold), then when it knows them (warm). CPU is the server's own,
user and system, until it has settled. Everything runs on loopback and stops by itself.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.ingest.measure import Figures, Measured, measure
from benchmarks.ingest.receivers import RECEIVERS, TAKE_VERSION_2
from benchmarks.ingest.requests import Requests, make
from benchmarks.node_exporter import scrape, with_cpus
from receiver import catalogue
from tests.servers import places


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of load."""

    name: str
    requests: Requests


def cases(given: argparse.Namespace) -> Iterator[Case]:
    """Unfiltered in both versions, and what the relabel rules would let through."""
    scraped = with_cpus(scrape(given.exposition), given.cpus)
    wanted = catalogue.load()
    kept = [one for one in scraped if wanted.term_of(one.labels) is not None]
    print(f"{given.nodes} nodes of {given.cpus} CPUs: {len(scraped)} series each, {len(kept)} of them kept\n")
    yield Case("unfiltered v1", make(scraped, given.nodes, 1))
    yield Case("unfiltered v2", make(scraped, given.nodes, 2))
    yield Case("pre-filtered v1", make(kept, given.nodes * len(scraped) // len(kept), 1))


def row(case: str, name: str, figures: Figures, ours: Figures) -> str:
    """A line of the table."""
    ratio = ours.samples_per_cpu_second / figures.samples_per_cpu_second
    cells = [
        case,
        name,
        f"{figures.samples_per_cpu_second / 1e6:.2f} M",
        f"{ratio:.2f}",
        f"{figures.samples / figures.wall_seconds / 1e6:.2f} M",
        f"{figures.answer_ms[0]:.1f} / {figures.answer_ms[1]:.1f}",
        f"{figures.peak_memory_bytes / 2**20:.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--exposition", type=Path, help="text exposition of a node_exporter")
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--cpus", type=int, default=8)
    parser.add_argument("--scrapes", type=int, default=60)
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--only", choices=RECEIVERS, nargs="*", default=list(RECEIVERS))
    parser.add_argument("--json", type=Path, help="write the figures there too")
    given = parser.parse_args()
    for server in ("prometheus", "victoria-metrics"):
        place = places.find(server)
        if isinstance(place, places.Missing):
            sys.exit(f"ingest: {place.why}")
        print(f"{server}: {place.version}")
    print(f"{platform.platform()}, Python {platform.python_version()}")
    all_cases = list(cases(given))
    found: dict[str, dict[str, Measured]] = {}
    print("| case | receiver | samples a CPU second | ours ÷ it | samples a second | answer p50 / p99 ms | peak MiB |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for case in all_cases:
        found[case.name] = {}
        able = [name for name in given.only if case.requests.version == 1 or name in TAKE_VERSION_2]
        for name in able:
            with tempfile.TemporaryDirectory() as folder:
                server_process = RECEIVERS[name](Path(folder))
                server_process.start()
                try:
                    measured = measure(server_process, case.requests, given.scrapes, given.connections)
                finally:
                    server_process.stop()
            found[case.name][name] = measured
            ours = found[case.name][able[0]]
            print(row(f"{case.name}, cold", name, measured.cold, ours.cold))
            print(row(f"{case.name}, warm", name, measured.warm, ours.warm), flush=True)
    if given.json:
        document = {case: {name: asdict(one) for name, one in by.items()} for case, by in found.items()}
        given.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
