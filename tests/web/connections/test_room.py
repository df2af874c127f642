"""Many connections at once: those that keep others out give way."""

from __future__ import annotations

import subprocess
import sys

import pytest

from receiver.web.room import Limits
from tests.servers.process import wait_until
from tests.web.connections.limited import HALF_BODY, HALF_HEADER, HEALTHY, METRICS, Serve


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


def test_of_those_who_do_not_read_only_so_many_are_borne(serve_pages: Serve) -> None:
    server = serve_pages(Limits(unread=1))
    server.sender().send(METRICS).socket.recv(1)
    second = server.sender().send(METRICS)
    second.socket.recv(1)
    wait_until(lambda: server.dropped("room") == 1, "the first gives way")
    assert second.answer().status_code == 200


def test_connections_that_are_open_are_counted(serve: Serve) -> None:
    server = serve(Limits())
    senders = [server.sender().send(HEALTHY) for _ in range(3)]
    assert [sender.answer().status_code for sender in senders] == [200, 200, 200]
    wait_until(lambda: server.connections() == 3, "three are open")
    senders[0].socket.close()
    wait_until(lambda: server.connections() == 2, "one has gone")


@pytest.mark.parametrize(("soft", "hard", "room"), [(64, 64, 32), (256, 1000, 744), (1024, 20_000, 8192)])
def test_connections_leave_files_for_the_store(soft: int, hard: int, room: int) -> None:
    program = (
        f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}));"
        "from receiver.web.server import room_for_connections; print(room_for_connections())"
    )
    printed = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert int(printed) == room
