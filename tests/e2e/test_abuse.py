"""Senders that mean harm, or are broken: the real service keeps to its memory, answers clearly, serves the others."""

from __future__ import annotations

import http.client
import itertools
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest
import snappy

from receiver.settings import MAX_DECODED_BYTES
from tests.servers.nodescore import Nodescore
from tests.servers.process import Runner, wait_until
from tests.servers.prometheus import answers
from tests.wire.requests import HEADERS, body, series

PATH = "/api/v1/write"
MIB = 1024 * 1024
MAX_SERIES = 20_000
# What the service may grow by under any of these: some bodies of the largest size, and the series that it may keep.
MOST_GROWTH_BYTES = 200 * MIB
# An honest request waits for the groups of others that are before it: 2 s alone on two cores, more where other tests
# have a part of them. A sender gives up after 30.
LONGEST_ANSWER_SECONDS = 6.0
FLOOD_CONNECTIONS = 8
FLOOD_SECONDS = 5.0
HALF_CONNECTIONS = 1000


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def resident_bytes(pid: int) -> int:
    """The most that the process has had in memory."""
    return 1024 * int(Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0])


@dataclass
class Honest:
    """A sender of one node, which goes on while others do as they like."""

    nodescore: Nodescore
    statuses: list[int] = field(default_factory=list)
    longest_seconds: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)

    def send(self) -> None:
        began = time.monotonic()
        at_ms = now_ms()
        status, _ = post(self.nodescore, body(2, [series("node_load1", 1.0, at_ms), series("up", 1.0, at_ms)]), 2)
        self.statuses.append(status)
        self.longest_seconds = max(self.longest_seconds, time.monotonic() - began)

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            self.send()

    def __enter__(self) -> Self:
        self.send()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.send()


def post(nodescore: Nodescore, content: bytes, version: int = 1) -> tuple[int, str]:
    connection = http.client.HTTPConnection(nodescore.address, timeout=30)
    try:
        connection.request("POST", PATH, content, HEADERS[version])
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.fixture
def nodescore(run_server: Runner, tmp_path: Path) -> Nodescore:
    return run_server(Nodescore(tmp_path, environment={"NODESCORE_MAX_SERIES": str(MAX_SERIES)}))


@pytest.fixture(autouse=True)
def honest(nodescore: Nodescore) -> Iterator[Honest]:
    """Whatever a test does: an honest sender is served, memory is bounded, and the service is ready at the end."""
    before = resident_bytes(nodescore.pid)
    with Honest(nodescore) as sender:
        yield sender
    assert set(sender.statuses) == {204}
    assert sender.longest_seconds < LONGEST_ANSWER_SECONDS
    assert resident_bytes(nodescore.pid) - before < MOST_GROWTH_BYTES
    assert answers(f"{nodescore.url}/-/ready")


def at_once(work: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work) for _ in range(FLOOD_CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_body_that_claims_four_gigabytes_is_refused(nodescore: Nodescore) -> None:
    status, text = post(nodescore, b"\xff\xff\xff\xff\x0f" + bytes(15))
    assert status == 400
    assert "claims 4294967295 bytes" in text


def test_many_bodies_that_grow_to_the_limit_and_over_it_are_borne(nodescore: Nodescore) -> None:
    over = bytes(snappy.compress(bytes(MAX_DECODED_BYTES + 1)))
    largest = bytes(snappy.compress(bytes(MAX_DECODED_BYTES)))
    answered: list[int] = []

    def bombs() -> None:
        answered.extend(post(nodescore, bomb)[0] for bomb in (over, largest, over, largest))

    at_once(bombs)
    assert set(answered) == {400}


def test_a_body_of_a_gigabyte_is_cut_off(nodescore: Nodescore) -> None:
    chunk = bytes(MIB)
    sent_bytes = 0
    host, port = nodescore.address.split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        head = f"POST {PATH} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode())
        with suppress(OSError):
            for _ in range(1024):
                connection.sendall(b"100000\r\n" + chunk + b"\r\n")
                sent_bytes += len(chunk)
    assert sent_bytes < 128 * MIB  # what the limit and the kernel's buffers take


def test_new_series_as_fast_as_they_can_be_sent_are_refused_by_name_above_the_limit(nodescore: Nodescore) -> None:
    numbers = itertools.count()
    until = time.monotonic() + FLOOD_SECONDS
    answered: list[tuple[int, str]] = []

    def flood() -> None:
        while time.monotonic() < until:
            at_ms = now_ms()
            several = [series("node_load1", 1.0, at_ms, zone=f"z{next(numbers)}") for _ in range(2000)]
            answered.append(post(nodescore, body(1, several)))

    at_once(flood)
    assert {status for status, _ in answered} == {204, 400}
    assert all("max_series" in text for status, text in answered if status == 400)
    refused = re.search(r'^nodescore_invalid_total\{reason="limit"\} (\S+)', nodescore.metrics(), re.MULTILINE)
    assert refused is not None
    assert float(refused[1]) >= next(numbers) - MAX_SERIES - 2000 * FLOOD_CONNECTIONS


def test_new_series_that_nobody_wants_cost_nothing(nodescore: Nodescore) -> None:
    numbers = itertools.count()

    def flood() -> None:
        for _ in range(10):
            at_ms = now_ms()
            several = [series(f"other_{next(numbers)}_total", 1.0, at_ms) for _ in range(2000)]
            assert post(nodescore, body(1, several))[0] == 204

    at_once(flood)
    assert next(numbers) == 10 * 2000 * FLOOD_CONNECTIONS
    wait_until(lambda: "nodescore_series 1.0" in nodescore.metrics(), "one series, the honest sender's")


@pytest.mark.parametrize(
    "part", [b"POST ", f"POST {PATH} HTTP/1.1\r\nContent-Length: 999999\r\n\r\n".encode() + bytes(99)]
)
def test_senders_that_stop_in_the_middle_keep_nobody_waiting(nodescore: Nodescore, part: bytes, honest: Honest) -> None:
    host, port = nodescore.address.split(":")
    with ExitStack() as stack:
        for _ in range(HALF_CONNECTIONS):
            connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=30))
            connection.sendall(part)
        for _ in range(10):
            honest.send()
