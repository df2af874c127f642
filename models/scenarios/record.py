"""Record what a real Prometheus sends of this machine while a command runs: `python -m models.scenarios.record`.

In: a command that attacks this machine, bounded by itself. Out: a recording in the form of `receiver.cli.recording`,
whose events say when the command began and ended. Needs Prometheus and node_exporter on the PATH. The series are
those that the catalogue wants, so that five minutes at 2 s take some 20 KB.

    python -m models.scenarios.record recording.jsonl.gz --node worker-1 -- stress-ng --cpu 2 --timeout 60
"""

from __future__ import annotations

import argparse
import base64
import gzip
import json
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from receiver.catalogue import load
from receiver.cli.processes import node_exporter, prometheus
from receiver.cli.recording import HEADERS


def record(
    out: Path, command: Sequence[str], *, node: str, scrape_seconds: int, before_seconds: float, after_seconds: float
) -> int:
    """Record `before_seconds` of quiet, the command, and `after_seconds` more; the number of requests."""
    events: list[tuple[int, str]] = []
    name = " ".join(command)
    # Prometheus is the first to end, and sends what it still holds before it does.
    with (
        tempfile.TemporaryDirectory(prefix="nodescore-record-") as folder,
        sink() as (url, requests),
        node_exporter(Path(folder)) as exporter,
        prometheus(Path(folder), load(), url, exporter, node, scrape_seconds) as server,
    ):
        time.sleep(before_seconds)
        events.append((_now_ms(), f"{name} begins"))
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - the caller's own
        events.append((_now_ms(), f"{name} ends"))
        time.sleep(after_seconds)
        server.check()
    save(out, requests, events)
    return len(requests)


def save(out: Path, requests: list[dict[str, Any]], events: list[tuple[int, str]]) -> None:
    """Write requests in the order of their arrival; an event stands with the first request after it."""
    coming = list(events)
    for request in requests:
        if coming and request["at_ms"] >= coming[0][0]:
            request["event"] = coming.pop(0)[1]
    text = "".join(json.dumps(request, separators=(",", ":")) + "\n" for request in requests)
    with out.open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
        packed.write(text.encode())


@contextmanager
def sink() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A receiver that takes everything and keeps it: its URL, and the requests so far."""
    requests: list[dict[str, Any]] = []

    class Sink(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items() if name.lower() in HEADERS}
            requests.append({"at_ms": _now_ms(), "headers": headers, "body_base64": base64.b64encode(body).decode()})
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Silence: the recording is the log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/api/v1/write", requests
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, help="file to write, JSON lines, gzipped")
    parser.add_argument("--node", default="worker-1", help="what the node shall be called")
    parser.add_argument("--scrape-seconds", type=int, default=2)
    parser.add_argument("--before-seconds", type=float, default=240)
    parser.add_argument("--after-seconds", type=float, default=60)
    parser.add_argument("command", nargs="+", help="after --: what to run; it must end by itself")
    given = parser.parse_args(arguments)
    count = record(
        given.out,
        given.command,
        node=given.node,
        scrape_seconds=given.scrape_seconds,
        before_seconds=given.before_seconds,
        after_seconds=given.after_seconds,
    )
    print(f"{given.out}: {count} requests, {given.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
