"""Senders who mean no good, or whose line is bad: the real server over real sockets, with short deadlines.

Every test that waits for the server to give up waits for the end of a connection, never for a time.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest
import uvicorn

from receiver import catalogue
from receiver.detector import Detector
from receiver.service import Service
from receiver.settings import MAX_COMPRESSED_BYTES, Settings
from receiver.web.app import create_app
from receiver.web.connection import (
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    MAX_PIPELINED,
    MAX_REQUEST_BYTES,
    connection_class,
)
from receiver.web.room import Limits, Room
from receiver.web.server import config
from tests import counting_model
from tests.servers.process import wait_until
from tests.web.sender import Sender
from tests.web.served import served
from tests.web.service import HeldService, fleet
from tests.wire.requests import body, series

CATALOGUE = catalogue.load()
HEALTHY = b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n"
HALF_HEADER = b"POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Le"
HALF_BODY = b"POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf"
HALF_CHUNK = b"POST /api/v1/write HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nhalf"
CHUNKED = b"POST /api/v1/write HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
SOON = Limits(header_seconds=0.2, body_seconds=0.2, answer_seconds=0.2)
SOON_UNREAD = Limits(answer_seconds=0.2)  # however long the answer takes to be made


class Server:
    """A service behind the real server, and its senders."""

    def __init__(self, stack: ExitStack, service: Service | HeldService, config: uvicorn.Config) -> None:
        self.stack = stack
        self.service = service
        self.address = stack.enter_context(served(config))
        wait_until(lambda: self.connections() == 0, "nobody is connected")

    def sender(self) -> Sender:
        one = Sender(self.address)
        self.stack.callback(one.socket.close)
        return one

    def write(self) -> int:
        """What a well-behaved sender is answered, over a connection of its own."""
        host, port = self.address
        content = body(1, [series("node_load1", 1.0, self.service.now_ms())])
        return httpx.post(f"http://{host}:{port}/api/v1/write", content=content, timeout=30).status_code

    def dropped(self, reason: str) -> float:
        text = f'nodescore_connections_dropped_total{{reason="{reason}"}} '
        return self._metric(text)

    def connections(self) -> float:
        return self._metric("\nnodescore_connections ")

    def _metric(self, start: str) -> float:
        return float(self.service.exposition.render("")[0].decode().split(start)[1].split("\n")[0])


Serve = Callable[[Limits], Server]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serve a real service within limits."""
    with ExitStack() as stack:

        def start(limits: Limits) -> Server:
            model = counting_model.write(tmp_path / "model.onnx", CATALOGUE)
            settings = Settings.model_validate({"data_dir": tmp_path / "data"})
            service = Service(settings, CATALOGUE, Detector.load(model, CATALOGUE.feature_names))
            service.start()
            stack.callback(service.stop)
            return Server(stack, service, config(service, limits))

        yield start


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"P", HALF_HEADER], ids=["nothing", "a line", "a byte", "half"])
def test_a_header_that_is_not_completed_is_answered_408_and_closed(serve: Serve, sent: bytes) -> None:
    server = serve(SOON)
    sender = server.sender().send(sent)
    answer = sender.answer()
    assert (answer.status_code, answer.text) == (408, "the header was not complete within 0.2 s\n")
    assert sender.is_closed()
    assert server.dropped("header_timeout") == 1
    assert server.write() == 204


@pytest.mark.parametrize("sent", [HALF_BODY, HALF_CHUNK, CHUNKED], ids=["length", "chunk", "no chunk"])
def test_a_body_that_is_not_completed_is_answered_408_and_closed(serve: Serve, sent: bytes) -> None:
    server = serve(SOON)
    sender = server.sender().send(sent)
    answer = sender.answer()
    assert (answer.status_code, answer.text) == (408, "the body was not complete within 0.2 s\n")
    assert sender.is_closed()
    assert server.dropped("body_timeout") == 1
    assert server.write() == 204


@pytest.mark.parametrize(("begin", "drop"), [(b"", b"\r\n"), (HALF_HEADER, b"x"), (HALF_BODY, b"x")])
def test_a_trickle_wins_no_time(serve: Serve, begin: bytes, drop: bytes) -> None:
    sender = serve(SOON).sender().send(begin)
    sender.socket.settimeout(0.02)
    received = b""
    while not received:
        sender.send(drop)
        with suppress(TimeoutError):
            received = sender.socket.recv(100)
    assert received.startswith(b"HTTP/1.1 408 ")


def test_a_connection_between_two_requests_may_rest(serve: Serve) -> None:
    server = serve(SOON)
    rested = server.sender().send(HEALTHY)
    assert rested.answer().status_code == 200
    server.sender().send(HALF_HEADER).read_to_end()  # all deadlines are over since
    assert rested.send(HEALTHY).answer().status_code == 200


def test_empty_lines_do_not_keep_a_resting_connection_from_its_deadline(serve: Serve) -> None:
    server = serve(SOON)
    sender = server.sender().send(HEALTHY)
    assert sender.answer().status_code == 200
    assert sender.send(b"\r\n\r\n").send(HEALTHY).answer().status_code == 200
    assert sender.send(b"G").answer().status_code == 408


def test_a_body_after_its_refusal_is_not_waited_for(serve: Serve) -> None:
    sender = serve(SOON).sender().send(b"POST /api/v1/write HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\nhalf")
    assert sender.answer().status_code == 413
    assert sender.is_closed()


@pytest.mark.parametrize("headers", [b"Content-Length: 1000000000", b"Transfer-Encoding: chunked"])
def test_a_body_of_a_gigabyte_is_refused_and_not_listened_to(serve: Serve, headers: bytes) -> None:
    server = serve(Limits())
    sender = server.sender().send(b"POST /api/v1/write HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n\r\n")
    piece = bytes(1024 * 1024)
    chunk = b"100000\r\n" + piece + b"\r\n" if b"chunked" in headers else piece
    sent = 0
    with suppress(ConnectionError):
        while sent < 1000:
            sender.send(chunk)
            sent += 1
    assert sender.answer().status_code == 413
    assert sent * len(piece) < 2 * MAX_COMPRESSED_BYTES  # what the sockets hold is counted as sent
    assert server.dropped("size") == 1
    assert server.write() == 204


@pytest.mark.parametrize(
    "sent",
    [
        HALF_HEADER + b"x" * MAX_HEADER_BYTES,
        b"GET /" + b"x" * MAX_HEADER_BYTES,
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * (MAX_HEADERS + 2),
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * (MAX_HEADERS + 2) + b"\r\n",
        CHUNKED + b"0\r\n" + b"a: b\r\n" * (MAX_HEADERS + 2),
    ],
    ids=["field", "path", "fields", "whole", "trailers"],
)
def test_a_header_over_the_limit_is_answered_431(serve: Serve, sent: bytes) -> None:
    server = serve(Limits())
    sender = server.sender().send(sent)
    answer = sender.answer()
    assert (answer.status_code, answer.headers["connection"]) == (431, "close")
    assert sender.is_closed()
    assert server.dropped("size") == 1


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01\x02\x00\x01\x00", b"EHLO mail\r\n", b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"]
)
def test_what_is_not_http_is_answered_400(serve: Serve, sent: bytes) -> None:
    server = serve(Limits())
    sender = server.sender().send(sent)
    assert sender.answer().status_code == 400
    assert sender.is_closed()
    assert server.dropped("malformed") == 1


def test_a_chunk_that_is_none_is_answered_400(serve: Serve) -> None:
    assert serve(Limits()).sender().send(CHUNKED + b"no number\r\n").answer().status_code == 400


def test_a_connection_too_many_takes_the_place_of_the_one_that_has_rested_longest(serve: Serve) -> None:
    server = serve(Limits(connections=3))
    first, second, third = (server.sender().send(HEALTHY) for _ in range(3))
    assert [one.answer().status_code for one in (first, second, third)] == [200, 200, 200]
    assert first.send(HEALTHY).answer().status_code == 200
    assert server.write() == 204
    assert second.is_closed()
    assert [one.send(HEALTHY).answer().status_code for one in (first, third)] == [200, 200]
    assert server.dropped("room") == 1


def test_among_any_number_of_half_requests_a_sender_is_served(serve: Serve) -> None:
    server = serve(Limits(connections=20))
    held = [server.sender().send((HALF_HEADER, HALF_BODY, b"")[number % 3]) for number in range(200)]
    assert server.write() == 204
    assert server.connections() <= 20
    told = [one.answer() for one in held[:150]]
    assert {(answer.status_code, answer.headers["retry-after"]) for answer in told} == {(503, "1")}
    assert all(one.is_closed() for one in held[:150])
    assert server.dropped("room") >= 180


def test_half_bodies_together_stay_within_the_limit_and_the_oldest_give_way(serve: Serve) -> None:
    server = serve(Limits(arriving_bytes=100_000))
    oldest, newer = server.sender(), server.sender()
    head = b"POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n"
    oldest.send(head + bytes(60_000))
    newer.send(head + bytes(60_000))
    answer = oldest.answer()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert newer.send(bytes(10_000)).answer().status_code == 400  # it is no snappy block, and was read
    assert server.write() == 204


def test_what_arrived_and_was_answered_does_not_count(serve: Serve) -> None:
    server = serve(Limits(arriving_bytes=100_000))
    sender = server.sender()
    for _ in range(5):
        sender.send(b"POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\n" + bytes(50_000))
        assert sender.answer().status_code == 400
    for _ in range(5):
        server.sender().send(HALF_BODY + bytes(50_000)).socket.close()
    assert sender.send(HEALTHY).answer().status_code == 200
    assert server.dropped("room") == 0


@pytest.fixture
def serve_pages() -> Iterator[Serve]:
    """Serve pages only, with an exposition that is more than the kernel takes of an answer that nobody reads."""
    with ExitStack() as stack:

        def start(limits: Limits) -> Server:
            service = fleet(2000, rows=1, attacked=0)
            protocol = connection_class(Room(limits, service.exposition.metrics))
            return Server(stack, service, uvicorn.Config(create_app(service), http=protocol, log_level="warning"))

        yield start


METRICS = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
LAST_METRICS = METRICS.replace(b"Host", b"Connection: close\r\nHost")


@pytest.mark.parametrize("sent", [METRICS, LAST_METRICS, METRICS + HALF_HEADER, METRICS + HALF_BODY])
def test_a_sender_that_does_not_read_its_answer_is_cut_off(serve_pages: Serve, sent: bytes) -> None:
    server = serve_pages(SOON_UNREAD)
    server.sender().send(sent)
    wait_until(lambda: server.dropped("answer_timeout") == 1, "it is cut off")
    wait_until(lambda: server.connections() == 0, "its connection is gone")


def test_of_those_who_do_not_read_only_so_many_are_borne(serve_pages: Serve) -> None:
    server = serve_pages(Limits(unread=1))
    server.sender().send(METRICS).socket.recv(1)
    second = server.sender().send(METRICS)
    second.socket.recv(1)
    wait_until(lambda: server.dropped("room") == 1, "the first gives way")
    assert second.answer().status_code == 200


def test_requests_sent_ahead_are_answered_in_order(serve: Serve) -> None:
    content = body(1, [series("node_load1")])
    write = b"POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(content) + content
    sender = serve(Limits()).sender().send(HEALTHY + write + HEALTHY)
    assert [sender.answer().status_code for _ in range(3)] == [200, 400, 200]  # the sample is too old


def test_only_so_many_requests_may_be_sent_ahead(serve: Serve) -> None:
    server = serve(Limits())
    sender = server.sender().send(HEALTHY * (MAX_PIPELINED + 2))
    assert sender.is_closed()
    assert server.dropped("size") == 1


def test_a_sender_that_asks_first_is_told_to_go_on(serve: Serve) -> None:
    server = serve(Limits())
    content = body(1, [series("node_load1", 1.0, server.service.now_ms())])
    head = b"POST /api/v1/write HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: "
    sender = server.sender().send(head + b"%d\r\n\r\n" % len(content))
    assert sender.answer().status_code == 100
    assert sender.send(content).answer().status_code == 204
    assert server.sender().send(head + b"1000000000\r\n\r\n").answer().status_code == 413


def test_a_request_to_speak_another_protocol_is_answered_as_if_it_did_not_ask_and_is_the_last(serve: Serve) -> None:
    sender = serve(Limits()).sender()
    sender.send(HEALTHY.replace(b"\r\n\r\n", b"\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n") + b"PRI * HTTP/2.0")
    answer = sender.answer()
    assert (answer.status_code, answer.headers["connection"]) == (200, "close")
    assert sender.is_closed()


def test_connections_that_are_open_are_counted(serve: Serve) -> None:
    server = serve(Limits())
    senders = [server.sender().send(HEALTHY) for _ in range(3)]
    assert [sender.answer().status_code for sender in senders] == [200, 200, 200]
    wait_until(lambda: server.connections() == 3, "three are open")
    senders[0].socket.close()
    wait_until(lambda: server.connections() == 2, "one has gone")


def test_the_largest_body_is_listened_to_until_its_end() -> None:
    assert MAX_REQUEST_BYTES - MAX_HEADER_BYTES > MAX_COMPRESSED_BYTES + MAX_COMPRESSED_BYTES // 64


@pytest.mark.parametrize(("soft", "hard", "room"), [(64, 64, 32), (256, 1000, 744), (1024, 20_000, 8192)])
def test_connections_leave_files_for_the_store(soft: int, hard: int, room: int) -> None:
    program = (
        f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}));"
        "from receiver.web.server import room_for_connections; print(room_for_connections())"
    )
    printed = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert int(printed) == room
