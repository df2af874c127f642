"""A TCP proxy that a test can close, open, and let cut a connection after so many bytes."""

from __future__ import annotations

import contextlib
import socket

from tests.servers.proxy import READ_BYTES, Proxy, shut


class DoorProxy(Proxy):
    """Passes bytes until told otherwise."""

    def __init__(self, host: str, port: int) -> None:
        self._open = True
        self._allowance: int | None = None  # bytes from the client until all connections are cut
        super().__init__(host, port)

    def close_door(self) -> None:
        """Cut every connection and refuse new ones."""
        self._open = False
        self.cut()

    def open_door(self) -> None:
        """Let connections through again."""
        self._allowance = None
        self._open = True

    def cut_after(self, client_bytes: int) -> None:
        """Close the door when clients have sent so many bytes from now on."""
        self._allowance = client_bytes

    def _admits(self) -> bool:
        return self._open and super()._admits()

    def _to_server(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(READ_BYTES):
                if self._allowance is not None:
                    data = data[: self._allowance]
                    self._allowance -= len(data)
                server.sendall(data)
                if self._allowance == 0:
                    self.close_door()
        shut(client, server)
