"""A TCP proxy between clients and a server, on a port of its own; what else befalls a connection, a subclass says."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar
from urllib.parse import urlsplit

READ_BYTES = 64 * 1024


class Proxy:
    """Passes bytes between its own port and a server."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def cut(self) -> None:
        """Cut every connection."""
        with self._lock:
            shut(*self._sockets)

    def end(self) -> None:
        """Cut every connection and give up the port."""
        self._ended.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self.cut()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._server)
            except OSError:
                client.close()
                continue
            with self._lock:
                self._sockets |= {client, server}
            if not self._admits():
                shut(client, server)
            thread = threading.Thread(target=self._pass, args=(client, server), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _pass(self, client: socket.socket, server: socket.socket) -> None:
        answers = threading.Thread(target=self._to_client, args=(client, server), daemon=True)
        answers.start()
        self._to_server(client, server)
        answers.join()
        with self._lock:
            self._sockets -= {client, server}
        client.close()
        server.close()

    def _admits(self) -> bool:
        """Whether a new connection may stay."""
        return not self._ended.is_set()

    def _to_server(self, client: socket.socket, server: socket.socket) -> None:
        """Pass on what the client sends, until one of them ends."""
        raise NotImplementedError

    def _to_client(self, client: socket.socket, server: socket.socket) -> None:
        """Pass on what the server answers, until one of them ends."""
        with contextlib.suppress(OSError):
            while data := server.recv(READ_BYTES):
                client.sendall(data)
        shut(client, server)


def shut(*ends: socket.socket) -> None:
    """Let nothing more through."""
    for one in ends:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


P = TypeVar("P", bound=Proxy)


@contextmanager
def proxy_to(dsn: str, kind: type[P]) -> Iterator[tuple[P, str]]:
    """A proxy before a server, and the server's DSN through it."""
    parts = urlsplit(dsn)
    proxy = kind(parts.hostname or "127.0.0.1", parts.port or 5432)
    user = parts.netloc.rpartition("@")[0]
    try:
        yield proxy, parts._replace(netloc=f"{user}@127.0.0.1:{proxy.port}").geturl()
    finally:
        proxy.end()
