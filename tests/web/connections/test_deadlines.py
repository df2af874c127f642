"""Senders who let the server wait: the real server over real sockets, with short deadlines.

Every test that waits for the server to give up waits for the end of a connection, never for a time.
"""

from __future__ import annotations

from contextlib import suppress

import pytest

from receiver.web.room import Limits
from tests.servers.process import wait_until
from tests.web.connections.limited import CHUNKED, HALF_BODY, HALF_HEADER, HEALTHY, METRICS, Serve

SOON = Limits(header_seconds=0.2, body_seconds=0.2, answer_seconds=0.2)
SOON_UNREAD = Limits(answer_seconds=0.2)  # however long the answer takes to be made
HALF_CHUNK = b"POST /api/v1/write HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nhalf"
LAST_METRICS = METRICS.replace(b"Host", b"Connection: close\r\nHost")


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


@pytest.mark.parametrize("sent", [METRICS, LAST_METRICS, METRICS + HALF_HEADER, METRICS + HALF_BODY])
def test_a_sender_that_does_not_read_its_answer_is_cut_off(serve_pages: Serve, sent: bytes) -> None:
    server = serve_pages(SOON_UNREAD)
    server.sender().send(sent)
    wait_until(lambda: server.dropped("answer_timeout") == 1, "it is cut off")
    wait_until(lambda: server.connections() == 0, "its connection is gone")
