"""A TCP proxy before Postgres that understands enough of its protocol to strike at the worst moment.

`PostgresProxy.strike` says what befalls each next connection, once:
- `Cut(copy_bytes)`: the connection breaks in the middle of a COPY, after so many bytes of its data.
- `LoseCommit()`: the server gets the COMMIT and does it, and its answer is lost.
Besides, `delay_seconds` holds up each of the server's answers.

A message of a client is a type, a length of 4 bytes that counts itself, and its content; only the first one of a
connection has no type. https://www.postgresql.org/docs/17/protocol-message-formats.html
"""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from dataclasses import dataclass

from tests.servers.proxy import READ_BYTES, Proxy, shut


@dataclass(frozen=True)
class Cut:
    """Break the connection after so many bytes of COPY data."""

    copy_bytes: int


@dataclass(frozen=True)
class LoseCommit:
    """Pass on the first COMMIT after a COPY, and break the connection before it is answered."""


Strike = Cut | LoseCommit


class Messages:
    """Follows a client's bytes from message to message."""

    def __init__(self) -> None:
        self._head = b""
        self._type = b""
        self._left = 0
        self._started = False
        self.copied_bytes = 0  # content of all CopyData messages
        self._text = b""
        self.committed = False  # a COMMIT has come, after CopyData

    def follow(self, data: bytes) -> None:
        """Take in the next bytes."""
        while data:
            if self._left:
                content, data = data[: self._left], data[self._left :]
                self._left -= len(content)
                if self._type == b"d":
                    self.copied_bytes += len(content)
                else:
                    self._text = (self._text + content)[-64:]
                    self.committed |= self.copied_bytes > 0 and b"COMMIT" in self._text
                continue
            size = 5 if self._started else 4
            take = size - len(self._head)
            self._head, data = self._head + data[:take], data[take:]
            if len(self._head) == size:
                self._type, self._text = self._head[: size - 4], b""
                length = int.from_bytes(self._head[-4:], "big")
                self._left = length - 4
                self._head = b""
                # A request for encryption is answered with one byte, and the start message follows it.
                self._started = self._started or length != 8


class PostgresProxy(Proxy):
    """Passes bytes between its own port and a server."""

    def __init__(self, host: str, port: int) -> None:
        self.delay_seconds = 0.0
        self.strikes = 0  # that have befallen a connection
        self._strikes: deque[Strike] = deque()
        super().__init__(host, port)

    def strike(self, *strikes: Strike) -> None:
        """One for each of the next connections that live long enough."""
        self._strikes.extend(strikes)

    @property
    def strikes_left(self) -> int:
        """How many have not befallen a connection."""
        return len(self._strikes)

    def _to_server(self, client: socket.socket, server: socket.socket) -> None:
        messages = Messages()
        with contextlib.suppress(OSError):
            while data := client.recv(READ_BYTES):
                before = messages.copied_bytes
                messages.follow(data)
                match self._strikes[0] if self._strikes else None:
                    case Cut(copy_bytes) if messages.copied_bytes > copy_bytes:
                        server.sendall(data[: max(0, copy_bytes - before)])
                        self._struck()
                        break
                    case LoseCommit() if messages.committed:
                        # Nothing of the answer may reach the client. The server's end stays open until it has answered.
                        client.shutdown(socket.SHUT_RDWR)
                        server.sendall(data)
                        self._struck()
                        return
                    case _:
                        server.sendall(data)
        shut(client, server)

    def _to_client(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(READ_BYTES):
                self._ended.wait(self.delay_seconds)
                client.sendall(data)
        shut(client, server)

    def _struck(self) -> None:
        self._strikes.popleft()
        self.strikes += 1
