"""Print the tables: `python -m benchmarks.fleet [--nodes 5000] [--minutes 10] [--curve] [--json FILE]`.

In: a real node_exporter's exposition (--exposition, or one is started), given so many CPUs that it has --series. A
service as it comes (journal synced, rows scored and stored) has one core, the sender another.

--curve does the same for 50, 500 and 5,000 nodes. A small fleet has small batches, as its few rows are not made to
wait for each other; so there are two curves: every node each 10 s, with the connections that a Prometheus would open,
and all fleets with as many rows a second as the largest, so that only the number of nodes differs.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

from benchmarks.fleet.run import Load, Outcome, run
from benchmarks.fleet.watch import SCRAPE_SECONDS
from benchmarks.node_exporter import scrape, with_series
from receiver import catalogue

INTERVAL_SECONDS = 10.0
CURVE_NODES = (50, 500, 5000)
MIB = 2**20


def lines(one: Outcome) -> dict[str, str]:
    """The figures of a run, each with its name."""
    load, first, last = one.load, one.moments[0], one.moments[-1]
    offered_rows = load.nodes / load.interval_seconds
    return {
        "nodes; each every": f"{load.nodes:,}; {load.interval_seconds:g} s",
        "samples a second, offered / taken": f"{offered_rows * one.series:,.0f} / {one.samples / one.seconds:,.0f}",
        "rows a second, offered / taken": f"{offered_rows:,.1f} / {one.rows / one.seconds:,.1f}",
        "service, share of its core": f"{one.service_cpu_seconds / one.seconds:.1%}",
        "CPU µs a row": f"{1e6 * one.cpu_seconds_per_row:,.0f}",
        "idle, before / after, share of a core": f"{one.idle_before_share:.2%} / {one.idle_after_share:.2%}",
        "CPU µs a row, over idle": f"{1e6 * one.cpu_seconds_per_row_over_idle:,.0f}",
        "samples a CPU second": f"{one.samples / one.service_cpu_seconds / 1e6:.2f} M",
        "connections": f"{load.shards}",
        "requests a second, samples each": f"{one.requests / one.seconds:,.1f}, {one.samples / one.requests:,.0f}",
        "behind the pace, p99 / most, ms": f"{1e3 * one.behind_seconds[0]:.0f} / {1e3 * one.behind_seconds[1]:.0f}",
        "first scrapes, most / until, s": f"{one.behind_warm_up_seconds:.1f} / {one.kept_pace_after_seconds:.0f}",
        "retries; refused": f"{_counts(one.retries)}; {_counts(one.refused)}",
        "answer p50 / p99, ms": _milliseconds(one.answer_seconds),
        "exposed after last acknowledgement, p50 / p99 / most, ms": _milliseconds(one.exposed_seconds),
        "exposed after last request was begun, p50 / p99 / most, ms": _milliseconds(one.exposed_from_sent_seconds),
        "rows checked in /metrics / not shown": f"{one.scrapes_checked[0]:,} / {one.scrapes_checked[1]:,}",
        "answer of /metrics, most, ms": f"{1e3 * max(moment.answer_seconds for moment in one.moments):.0f}",
        "rows missing / incomplete": f"{one.missing_rows} / {one.incomplete_rows}",
        "scores of 1 and more": f"{one.anomalous_share:.1%}",
        "memory begin / end / peak, MiB": f"{first.memory_bytes / MIB:.0f} / {last.memory_bytes / MIB:.0f} / "
        f"{one.peak_memory_bytes / MIB:.0f}",
        "journal begin / end, MiB": f"{_stored(one, 0, 'journal')} / {_stored(one, -1, 'journal')}",
        "file with journal, begin / end, MiB": f"{_stored(one, 0, 'store')} / {_stored(one, -1, 'store')}",
        "sender, share of its core": f"{one.sender_cpu_seconds / one.seconds:.1%}",
    }


def table(outcomes: list[Outcome]) -> str:
    """A column for each run."""
    columns = [lines(one) for one in outcomes]
    rows = [[name, *(column[name] for column in columns)] for name in columns[0]]
    rows.insert(1, ["---"] * len(rows[0]))
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)


def growth(one: Outcome) -> str:
    """A line for each minute."""
    rows = [["minute", "service, share of its core", "memory MiB", "journal MiB", "file with journal MiB"], ["---"] * 5]
    begun = one.moments[0].seconds
    every_minute = [moment for moment in one.moments if round(moment.seconds - begun) % 60 < SCRAPE_SECONDS]
    for before, now in pairwise(every_minute):
        share = (now.cpu_seconds - before.cpu_seconds) / (now.seconds - before.seconds)
        sizes = [now.memory_bytes, now.metrics["nodescore_journal_bytes"], now.metrics["nodescore_store_bytes"]]
        rows.append([f"{(now.seconds - begun) / 60:.0f}", f"{share:.1%}", *(f"{size / MIB:.0f}" for size in sizes)])
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)


def loads(given: argparse.Namespace) -> list[Load]:
    """What to run."""
    if not given.curve:
        return [Load(given.nodes, given.minutes or 10, INTERVAL_SECONDS, given.shards, given.version)]
    minutes, most = given.minutes or 2, CURVE_NODES[-1]
    natural = [
        Load(nodes, minutes, INTERVAL_SECONDS, max(1, round(given.shards * nodes / most)), given.version)
        for nodes in CURVE_NODES
    ]
    crowded = [
        Load(nodes, minutes, INTERVAL_SECONDS * nodes / most, given.shards, given.version) for nodes in CURVE_NODES[:-1]
    ]
    return crowded + natural


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--exposition", type=Path, help="text exposition of a node_exporter")
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--series", type=int, default=1500, help="of a node")
    parser.add_argument("--minutes", type=float, help="that count; default 10, and 2 of each run of --curve")
    parser.add_argument("--shards", type=int, default=8, help="connections of 5,000 nodes")
    parser.add_argument("--version", type=int, choices=(1, 2), default=1, help="of remote write")
    parser.add_argument("--curve", action="store_true", help="50, 500 and 5,000 nodes, one after the other")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    given = parser.parse_args()
    scraped = with_series(scrape(given.exposition), given.series)
    kept = sum(catalogue.load().term_of(one.labels) is not None for one in scraped)
    print(f"{platform.platform()}, Python {platform.python_version()}")
    print(f"{given.series} series a node, {kept} of them kept; remote write version {given.version}\n", flush=True)
    outcomes = []
    for load in loads(given):
        outcomes.append(run(scraped, load))
        print(f"{load}: {1e6 * outcomes[-1].cpu_seconds_per_row:.0f} µs a row", file=sys.stderr, flush=True)
    print(f"{table(outcomes)}\n\n{growth(outcomes[-1])}")
    if given.json:
        given.json.write_text(json.dumps([asdict(one) for one in outcomes], indent=2) + "\n")


def _counts(found: dict[str, int]) -> str:
    return ", ".join(f"{count} × {what}" for what, count in found.items()) or "0"


def _milliseconds(seconds: tuple[float, ...]) -> str:
    return " / ".join(f"{1e3 * one:.1f}" for one in seconds)


def _stored(one: Outcome, moment: int, what: str) -> str:
    return f"{one.moments[moment].metrics[f'nodescore_{what}_bytes'] / MIB:.0f}"


if __name__ == "__main__":
    main()
