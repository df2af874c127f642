"""Programs that a command starts beside itself."""

from __future__ import annotations

import socket

from receiver.cli.processes import PORTS, free_port


def test_a_free_port_is_the_preferred_one_or_one_that_no_outgoing_connection_gets() -> None:
    first = free_port()
    assert first in PORTS
    assert free_port(first) == first
    with socket.create_server(("127.0.0.1", first)):
        other = free_port(first)
    assert other in PORTS
    assert other != first


def test_two_that_look_for_a_port_at_the_same_time_hardly_find_the_same() -> None:
    assert len({free_port() for _ in range(20)}) > 15
