"""Senders who send what they should not, or in another way than most: the real server over real sockets."""

from __future__ import annotations

from contextlib import suppress

import pytest

from receiver.settings import MAX_COMPRESSED_BYTES
from receiver.web.connection import MAX_HEADER_BYTES, MAX_HEADERS, MAX_PIPELINED, MAX_REQUEST_BYTES
from receiver.web.room import Limits
from tests.web.connections.limited import CHUNKED, HALF_HEADER, HEALTHY, Serve
from tests.wire.requests import body, series


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


def test_the_largest_body_is_listened_to_until_its_end() -> None:
    assert MAX_REQUEST_BYTES - MAX_HEADER_BYTES > MAX_COMPRESSED_BYTES + MAX_COMPRESSED_BYTES // 64
