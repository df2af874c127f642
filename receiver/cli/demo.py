"""`nodescore demo`: the whole way on this machine, with nothing installed and nothing kept."""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import resources
from pathlib import Path
from typing import Annotated, Self

import typer

from receiver.catalogue import load as load_catalogue
from receiver.cli import options
from receiver.cli.demo_view import Node, view
from receiver.cli.processes import Running, end_in_order, free_port, node_exporter, prometheus, running
from receiver.cli.recording import Recorded, Sender, read
from receiver.cli.replay import moved
from receiver.errors import DataError, NodescoreError

USUAL_PORT = 9201
# What lies before is sent at once, so that the detector knows the node; from here on it plays as it was recorded.
SECONDS_BEFORE_EVENT = 10
# The last row has to be complete, scored and fetched.
SECONDS_AFTER_END = 8
LIVE_SCRAPE_SECONDS = 2
LOOK_SECONDS = 1.0


def demo(
    live: Annotated[
        bool, typer.Option("--live", help="This machine's own metrics instead: needs Prometheus and node_exporter.")
    ] = False,
    duration: Annotated[
        float | None,
        typer.Option(min=1, help="Seconds. [default: until Ctrl-C; without a terminal until the recording ends]"),
    ] = None,
    recording: Annotated[Path | None, typer.Option(help="Another recording than the one that ships.")] = None,
    model: options.ModelOption = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the page; another where it is taken.")] = USUAL_PORT,
) -> None:
    """Show Nodescore at work: a recorded attack on a real node, scored as it arrives.

    Starts a service with a store of its own, which goes when the demo ends; within a minute the attack shows, here
    and on the page.

        nodescore demo

        nodescore demo --live
    """
    end_in_order()
    requests = [] if live else read(recording or _shipped())
    catalogue = load_catalogue()
    with tempfile.TemporaryDirectory(prefix="nodescore-demo-") as name, ExitStack() as stack:
        folder = Path(name)
        url = f"http://127.0.0.1:{free_port(port)}"
        service = stack.enter_context(_service(url, folder, model))
        until = None if duration is None else time.monotonic() + duration
        shown = view(url)
        if live:
            exporter = stack.enter_context(node_exporter(folder))
            write_url = f"{url}/api/v1/write"
            stack.enter_context(prometheus(folder, catalogue, write_url, exporter, "this-machine", LIVE_SCRAPE_SECONDS))
        player = Player(requests, url)
        try:
            with shown, player:
                while (until is None or time.monotonic() < until) and (live or player.plays(shown.interactive)):
                    service.check()
                    shown.update(_nodes(url), player.news())
                    time.sleep(LOOK_SECONDS)
        except KeyboardInterrupt:
            pass
        shown.conclude()
    if not live and player.over and not shown.alarmed:
        raise typer.Exit(1)


class Player:
    """Sends a recording from a thread of its own: its past at once, the rest at the pace of its recording."""

    def __init__(self, requests: list[Recorded], url: str) -> None:
        self.over = not requests
        self.ended_at: float | None = None
        self._requests = requests
        self._sender = Sender(url)
        self._fault: NodescoreError | None = None
        self._news: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._play, name="player", daemon=True)

    def __enter__(self) -> Self:
        if self._requests:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._requests:
            self._thread.join()
        self._sender.close()

    def plays(self, stay: bool) -> bool:
        """Whether there is more to see; `stay` keeps the demo up after the end."""
        if self._fault is not None:
            raise self._fault
        return stay or self.ended_at is None or time.monotonic() < self.ended_at + SECONDS_AFTER_END

    def news(self) -> list[str]:
        """What has happened since the last call."""
        news, self._news = self._news, []
        return news

    def _play(self) -> None:
        try:
            first_paced_ms = _first_paced_ms(self._requests)
            delta_ms = int(time.time() * 1000) - first_paced_ms
            for request in self._requests:
                at_ms = request.at_ms or 0
                ahead_seconds = (at_ms + delta_ms) / 1000 - time.time() if at_ms >= first_paced_ms else 0.0
                if self._stop.wait(max(0.0, ahead_seconds)):
                    return
                answer = self._sender.send(request.headers, moved(request, delta_ms))
                if answer.status >= 300:
                    raise DataError(f"the recording was refused with {answer.status}: {answer.text}")
                if request.event:
                    self._news.append(request.event)
            self._news.append("the recording is over")
            self.over = True
        except NodescoreError as error:
            self._fault = error
        finally:
            self.ended_at = time.monotonic()


def _first_paced_ms(requests: list[Recorded]) -> int:
    if any(request.at_ms is None for request in requests):
        raise DataError("the recording cannot be played: some lines have no at_ms")
    events = [request.at_ms for request in requests if request.event and request.at_ms is not None]
    return (events[0] if events else requests[0].at_ms or 0) - SECONDS_BEFORE_EVENT * 1000


@contextmanager
def _service(url: str, folder: Path, model: Path | None) -> Iterator[Running]:
    listen = url.removeprefix("http://")
    command = [sys.executable, "-m", "receiver", "serve", "--listen", listen, "--data-dir", str(folder / "data")]
    command += [] if model is None else ["--model", str(model.absolute())]
    with running("the service", command, folder / "service.log") as service:
        service.await_ok(f"{url}/-/ready")
        yield service


def _nodes(url: str) -> list[Node]:
    with urllib.request.urlopen(f"{url}/api/v1/nodes", timeout=10) as answer:  # noqa: S310 - our own service
        nodes: list[Node] = json.load(answer)["nodes"]
        return nodes


def _shipped() -> Path:
    return Path(str(resources.files("receiver").joinpath("demo", "recording.jsonl.gz")))
