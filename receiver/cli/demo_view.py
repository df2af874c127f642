"""What the demo shows: a live table in a terminal, plain lines elsewhere, and at the end what was seen."""

from __future__ import annotations

import time
from typing import Any, Protocol, Self

import typer

# Of the JSON API: cluster, node, score, time, top_features.
Node = dict[str, Any]

NODES_SHOWN = 20
FEATURES_SHOWN = 3
NEWS_SHOWN = 6
# A score of this fills the bar; the threshold stands at a third of it.
BAR_SCORE, BAR_CELLS = 3.0, 24
PLAIN_LINE_SECONDS = 5.0


class View(Protocol):
    """One way to show it; a context around the showing."""

    interactive: bool

    @property
    def alarmed(self) -> bool:
        """Whether a score has passed the threshold."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def update(self, nodes: list[Node], news: list[str]) -> None:
        """Show the nodes as they are now, highest score first, and what has happened."""

    def conclude(self) -> None:
        """Say what was seen and what to do next."""


def view(url: str) -> View:
    """The way that fits where the output goes."""
    from rich.console import Console

    return _Terminal(url, Console()) if Console().is_terminal else _Lines(url)


class _Seen:
    """What happened while the demo ran."""

    def __init__(self) -> None:
        self.event = ""
        self.event_at: float | None = None
        self.alarms: dict[str, str] = {}  # node → when it passed the threshold, in words
        self.peaks: dict[str, tuple[float, str]] = {}  # node → highest score, and what drove it

    def take(self, nodes: list[Node], news: list[str]) -> list[str]:
        """Remember; the lines that are worth a line."""
        lines = []
        for event in news:
            lines.append(event)
            if self.event_at is None:
                self.event, self.event_at = event, time.monotonic()
        for node in nodes:
            name, score = str(node["node"]), float(node["score"])
            if score > self.peaks.get(name, (0.0, ""))[0]:
                self.peaks[name] = score, drivers(node)
            if score > 1.0 and name not in self.alarms:
                after = (
                    "" if self.event_at is None else f" {time.monotonic() - self.event_at:.0f} s after “{self.event}”"
                )
                self.alarms[name] = f"passed 1.0{after}"
                lines.append(f"{name} {self.alarms[name]}: {drivers(node)}")
        return lines

    def conclusion(self, url: str) -> list[str]:
        """What was seen, a line a node, and three lines of what to do next."""
        seen = [
            f"{name} {when}; highest score {self.peaks[name][0]:.2f}: {self.peaks[name][1]}."
            for name, when in self.alarms.items()
        ]
        return [
            "",
            *(seen or [f"No score passed 1.0 on {len(self.peaks)} {'node' if len(self.peaks) == 1 else 'nodes'}."]),
            "",
            "Next: run `nodescore serve`, which keeps its data in ./nodescore-data;",
            "put what `nodescore relabel` prints into prometheus.yml, and reload Prometheus;",
            f"then your own nodes are at {url.rsplit(':', 1)[0]}:9201/ and in Prometheus as anomaly_score.",
        ]


class _Lines:
    """For logs and pipes."""

    interactive = False

    def __init__(self, url: str) -> None:
        self.url = url
        self.seen = _Seen()
        self._next = 0.0

    @property
    def alarmed(self) -> bool:
        return bool(self.seen.alarms)

    def __enter__(self) -> Self:
        typer.echo(f"The page: {self.url}/")
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, nodes: list[Node], news: list[str]) -> None:
        lines = self.seen.take(nodes, news)
        if nodes and time.monotonic() >= self._next:
            self._next = time.monotonic() + PLAIN_LINE_SECONDS
            lines += [
                f"{node['node']} score {node['score']:.2f} {drivers(node)}".rstrip() for node in nodes[:NODES_SHOWN]
            ]
        for line in lines:
            typer.echo(f"{time.strftime('%H:%M:%S')} {line}")

    def conclude(self) -> None:
        typer.echo("\n".join(self.seen.conclusion(self.url)))


class _Terminal:
    """A table that is drawn anew every second."""

    interactive = True

    def __init__(self, url: str, console: Any) -> None:
        from rich.live import Live

        self.url = url
        self.seen = _Seen()
        self._news: list[str] = []
        self._live = Live(self._drawn([]), console=console, auto_refresh=False)

    @property
    def alarmed(self) -> bool:
        return bool(self.seen.alarms)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)

    def update(self, nodes: list[Node], news: list[str]) -> None:
        at = time.strftime("%H:%M:%S")
        self._news += [f"{at}  {line}" for line in self.seen.take(nodes, news)]
        self._live.update(self._drawn(nodes), refresh=True)

    def conclude(self) -> None:
        typer.echo("\n".join(self.seen.conclusion(self.url)))

    def _drawn(self, nodes: list[Node]) -> Any:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, expand=True)
        table.add_column("node", ratio=2, overflow="fold")
        table.add_column("score", justify="right", width=6)
        table.add_column(_scale(), width=BAR_CELLS)
        table.add_column("what drives it", ratio=5)
        for node in nodes[:NODES_SHOWN]:
            score = float(node["score"])
            style = "bold red" if score > 1 else "green"
            cells = (str(node["node"]), f"{score:.2f}", _bar(score), drivers(node))
            # Text, not markup: names come from whoever sends.
            table.add_row(*(Text(cell, style=style if i in (1, 2) else "") for i, cell in enumerate(cells)))
        head = Text.assemble(("Nodescore ", "bold"), f"— the same with charts: {self.url}/   (Ctrl-C ends it)\n")
        waiting = [] if nodes else [Text("waiting for the first scores …", style="dim")]
        news = [Text(line, style="bold red" if "passed" in line else "dim") for line in self._news[-NEWS_SHOWN:]]
        return Group(head, table, *waiting, Text(""), *news)


def drivers(node: Node) -> str:
    """The top features of a node in words, with their part of what all exposed ones add."""
    top = node["top_features"]
    whole = sum(share["contribution"] for share in top)
    return ", ".join(f"{share['help']} {share['contribution'] / whole:.0%}" for share in top[:FEATURES_SHOWN])


def _bar(score: float) -> str:
    filled = round(min(score, BAR_SCORE) / BAR_SCORE * BAR_CELLS)
    threshold = round(BAR_CELLS / BAR_SCORE)
    cells = ["█" if cell < filled else "·" for cell in range(BAR_CELLS)]
    return "".join("|" if cell == threshold and filled <= threshold else text for cell, text in enumerate(cells))


def _scale() -> str:
    threshold = round(BAR_CELLS / BAR_SCORE)
    return "0".ljust(threshold) + "1.0"
