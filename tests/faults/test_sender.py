"""The sender retries and gives up as Prometheus does, towards a server that answers as a test says."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.faults.fleet import Fleet
from tests.faults.sender import SAMPLES_PER_REQUEST, Ledger, Queued, Shard

WRITTEN = "X-Prometheus-Remote-Write-Samples-Written"
Answer = tuple[int, dict[str, str]]
BATCH: list[Queued] = [(id_, 1000, 1.0) for id_ in range(5)]


class Server(ThreadingHTTPServer):
    """Gives one answer after the other; None hangs up."""

    def __init__(self, answers: list[Answer | None]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = answers
        self.bodies: list[bytes] = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        answer = self.server.answers.pop(0)
        if answer is None:
            self.close_connection = True
            return
        status, headers = answer
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name is the base class's
        """Silent."""


@contextmanager
def sent(
    answers: list[Answer | None], version: int = 1, batch: list[Queued] = BATCH
) -> Iterator[tuple[Ledger, Server]]:
    """What became of a batch."""
    with Server(answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        ledger = Ledger(Fleet(nodes=1, seed=1, devices_change=False))
        shard = Shard(f"http://127.0.0.1:{server.server_port}", ledger, threading.Event(), version)
        shard.put(batch)
        shard.finish()
        shard.thread.start()
        shard.thread.join()
        server.shutdown()
        thread.join()
        yield ledger, server


def test_what_is_answered_with_2xx_is_acknowledged() -> None:
    with sent([(204, {})]) as (ledger, _):
        assert (ledger.requests, len(ledger), ledger.dropped) == (1, len(BATCH), [])


@pytest.mark.parametrize("answer", [(503, {}), (500, {}), None], ids=str)
def test_5xx_and_a_broken_connection_are_retried_with_the_same_bytes(answer: Answer | None) -> None:
    with sent([answer, answer, (204, {})]) as (ledger, server):
        assert (ledger.requests, ledger.retries, len(ledger)) == (1, 2, len(BATCH))
        assert len(server.bodies) == 3
        assert len(set(server.bodies)) == 1


def test_retry_after_is_remembered_and_waited_for() -> None:
    began = time.monotonic()
    with sent([(503, {"Retry-After": "1"}), (204, {})]) as (ledger, _):
        assert (ledger.requests, ledger.retry_after_seconds) == (1, {1})
    assert time.monotonic() - began >= 1


@pytest.mark.parametrize("status", [400, 413, 415, 429, 404])
def test_4xx_is_dropped_and_counted(status: int) -> None:
    with sent([(status, {})]) as (ledger, _):
        assert (len(ledger), len(ledger.dropped), ledger.retries) == (0, 1, 0)


def test_version_2_is_acknowledged_only_where_all_of_it_was_written() -> None:
    with sent([(204, {WRITTEN: str(len(BATCH))})], version=2) as (ledger, _):
        assert len(ledger) == len(BATCH)
    with sent([(204, {WRITTEN: "0"})], version=2) as (ledger, _):
        assert (len(ledger), len(ledger.dropped)) == (0, 1)


def test_a_queue_is_cut_into_requests() -> None:
    batch: list[Queued] = [(id_ % 5, id_, 1.0) for id_ in range(2 * SAMPLES_PER_REQUEST + 1)]
    with sent([(204, {})] * 3, batch=batch) as (ledger, server):
        assert (ledger.requests, len(ledger), len(server.bodies)) == (3, len(batch), 3)
