"""CPU time of a request of 2,000 node_exporter series whose labels are known: `python -m benchmarks.request`.

In: the exposition of a real node_exporter, from --exposition FILE or from one that is started for it. It is sent for
as many nodes as make 2,000 series: all of it, and only what the catalogue wants. Out: a Markdown table of CPU time
(user + system, of the whole process and all its threads) per request for each stage: taking the body apart, the
journal with its sync and the rows that its samples go to, and what a flush costs: features, scores, store.

A request alone pays for a sync and a flush of its own. Under load, requests that wait together share both; so each
case is measured alone and in groups of eight, as eight senders at once make them.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.node_exporter import Scraped, of_node, scrape
from receiver import catalogue
from receiver.allocator import keep_freed_memory
from receiver.detector import Detector
from receiver.exposition import Exposition, Snapshot
from receiver.pipeline import Pipeline
from receiver.recovery import recover
from receiver.registry import shipped_model
from receiver.settings import Settings
from receiver.store.embedded import EmbeddedStore
from tests.wire.requests import HEADERS, Series, body

SERIES = 2000
SCRAPE_MS = 10_000
ROUNDS = 40  # scrapes; the first ones are not counted
WARM_UP_ROUNDS = 10
GROUPS = (1, 8)


def requests(scraped: list[Scraped], version: int, group: int) -> Iterator[tuple[int, list[bytes]]]:
    """A time and `group` bodies of exactly `SERIES` series each, for each scrape; counters go on."""
    nodes = -(-SERIES // len(scraped))
    now_ms = time.time_ns() // 1_000_000
    for step in range(ROUNDS):
        at_ms = now_ms + (step - ROUNDS) * SCRAPE_MS
        bodies = []
        for place in range(group):
            series = [
                Series(labels, [(value + step, at_ms)])
                for node in range(place * nodes, (place + 1) * nodes)
                for labels, value in of_node(scraped, node)
            ]
            bodies.append(body(version, series[:SERIES]))
        yield at_ms, bodies


def stages_of(pipeline: Pipeline, version: int, at_ms: int, bodies: list[bytes]) -> list[float]:
    """CPU milliseconds of this process in each stage, per request."""
    times = [time.process_time()]
    batches = [pipeline.decode(content, HEADERS[version], at_ms) for content in bodies]
    times.append(time.process_time())
    pipeline.commit(batches, at_ms)
    times.append(time.process_time())
    pipeline.flush(at_ms + 8000)
    times.append(time.process_time())
    if any(batch.status != 204 for batch in batches):
        sys.exit(f"request refused: {batches[0].message}")
    return [1000 * (after - before) / len(bodies) for before, after in itertools.pairwise(times)]


def run(scraped: list[Scraped], version: int, group: int, model: Path) -> list[float]:
    """Median CPU milliseconds a request of each stage."""
    wanted = catalogue.load()
    detector = Detector.load(model, wanted.feature_names)
    exposition = Exposition(
        Snapshot.empty(wanted.feature_names, detector.info.version, detector.info.detector),
        staleness_seconds=300,
        top_features=5,
        contribution_floor=0.5,
        entity="node",
        clock=time.time,
        version="benchmark",
    )
    prepared = list(requests(scraped, version, group))  # made before, so that making them does not cool the caches
    with tempfile.TemporaryDirectory() as folder:
        store = EmbeddedStore.open(Path(folder, "store.sqlite"), wanted, "full")
        pipeline = Pipeline(Settings.model_validate({}), wanted, store, detector, exposition)
        recover(pipeline, 0)
        stages = [stages_of(pipeline, version, at_ms, bodies) for at_ms, bodies in prepared]
        store.close()
    return [median(column) for column in zip(*stages[WARM_UP_ROUNDS:], strict=True)]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--exposition", type=Path, help="text exposition of a node_exporter")
    parser.add_argument("--model", type=Path, default=shipped_model())
    given = parser.parse_args()
    keep_freed_memory()  # as the service does
    wanted = catalogue.load()
    scraped = scrape(given.exposition)
    kept = [one for one in scraped if wanted.term_of(one.labels) is not None]
    print(f"{len(scraped)} series a node, of which {len(kept)} are kept; {SERIES} series a request\n")
    print("| case | together | decode | journal, rows | features, scores, store | CPU ms a request | a CPU second |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, series in (("unfiltered", scraped), ("pre-filtered", kept)):
        for version, group in itertools.product((1, 2), GROUPS):
            stages = run(series, version, group, given.model)
            parts = " | ".join(f"{stage:.2f}" for stage in stages)
            rate = f"{SERIES / sum(stages) / 1000:.2f} M samples"
            print(f"| {name} v{version} | {group} | {parts} | {sum(stages):.2f} | {rate} |")


if __name__ == "__main__":
    main()
