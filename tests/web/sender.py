"""A client that says whatever a test has it say."""

from __future__ import annotations

import socket
from contextlib import suppress

import httpx


class Sender:
    """One connection, byte for byte."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=30)

    def send(self, data: bytes) -> Sender:
        self.socket.sendall(data)
        return self

    def answer(self) -> httpx.Response:
        """The next answer, of which the next byte is left alone."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = self.socket.recv(1)
            assert byte, f"closed after {head!r}"
            head += byte
        status, *fields = head.decode().split("\r\n")[:-2]
        headers = httpx.Headers(
            [(name, value.strip()) for name, _, value in (field.partition(":") for field in fields)]
        )
        left, content = int(headers.get("content-length", 0)), b""
        while len(content) < left:
            content += self.socket.recv(left - len(content))
        return httpx.Response(int(status.split()[1]), headers=headers, content=content)

    def read_to_end(self) -> bytes:
        """All until the server closes, or cuts the connection."""
        content = b""
        with suppress(ConnectionResetError):
            while data := self.socket.recv(65536):
                content += data
        return content

    def is_closed(self) -> bool:
        return self.read_to_end() == b""
