"""Series of a real node_exporter, for as many nodes and CPUs as a benchmark wants.

In: the text exposition of a node_exporter, from a file or from one that is started for it. Out: series with the
labels and order that Prometheus sends. Ends the program with a line where there is neither.
"""

from __future__ import annotations

import re
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.servers import places
from tests.servers.prometheus import NodeExporter

_LINE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Scraped:
    """One series of one scrape."""

    labels: Mapping[str, str]
    value: float


def scrape(exposition: Path | None) -> list[Scraped]:
    """The series of a file, or of a node_exporter that is started for it."""
    text = exposition.read_text() if exposition else _ask()
    matches = (_LINE.match(line) for line in text.splitlines())
    return [Scraped({"__name__": m[1], **dict(_LABEL.findall(m[2] or ""))}, float(m[3])) for m in matches if m]


def with_cpus(scraped: list[Scraped], cpus: int) -> list[Scraped]:
    """The same machine with so many CPUs: what CPU 0 has, each of them has."""
    others = [one for one in scraped if "cpu" not in one.labels]
    first = [one for one in scraped if one.labels.get("cpu") == "0"]
    return others + [Scraped({**one.labels, "cpu": str(cpu)}, one.value) for cpu in range(cpus) for one in first]


def with_series(scraped: list[Scraped], series: int) -> list[Scraped]:
    """The same machine with as many CPUs as make so many series, of the last CPU only some."""
    fixed, cpu = len(with_cpus(scraped, 0)), len(with_cpus(scraped, 1)) - len(with_cpus(scraped, 0))
    if cpu == 0 or series < fixed + cpu:
        sys.exit(f"the exposition has {fixed} series and {cpu} a CPU: {series} cannot be made of it")
    return with_cpus(scraped, -(-(series - fixed) // cpu))[:series]


def of_node(scraped: list[Scraped], node: int) -> Iterator[tuple[list[tuple[str, str]], float]]:
    """Labels in the order that Prometheus has them, and value, for one of many nodes."""
    address = f"10.{node // 65536}.{node // 256 % 256}.{node % 256}:9100"
    for one in scraped:
        yield sorted({**one.labels, "instance": address, "job": "node"}.items()), one.value


def _ask() -> str:
    place = places.find("node_exporter")
    if isinstance(place, places.Missing):
        sys.exit(f"{place.why}; give --exposition FILE")
    with tempfile.TemporaryDirectory() as folder:
        exporter = NodeExporter(Path(folder))
        exporter.start()
        try:
            with urllib.request.urlopen(f"http://{exporter.address}/metrics", timeout=30) as answer:
                text: str = answer.read().decode()
        finally:
            exporter.stop()
    return text
