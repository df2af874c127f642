"""A TCP proxy that a test can close, open, and let cut a connection after so many bytes."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit


class Proxy:
    """Passes bytes between its own port and a server, until told otherwise."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open = True
        self._allowance: int | None = None  # bytes from the client until all connections are cut
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

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

    def cut(self) -> None:
        """Cut every connection."""
        with self._lock:
            for end in self._sockets:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        """Give up the port."""
        self.close_door()
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if not self._open:
                client.close()
                continue
            server = socket.create_connection(self._server)
            with self._lock:
                self._sockets |= {client, server}
            for source, target, counted in ((client, server, True), (server, client, False)):
                thread = threading.Thread(target=self._pump, args=(source, target, counted), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _pump(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if counted and self._allowance is not None:
                    data = data[: self._allowance]
                    self._allowance -= len(data)
                    target.sendall(data)
                    if self._allowance == 0:
                        self.close_door()
                        break
                else:
                    target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._sockets.discard(source)
        source.close()


@contextmanager
def proxy_to(dsn: str) -> Iterator[tuple[Proxy, str]]:
    """A proxy before a server, and the server's DSN through it."""
    parts = urlsplit(dsn)
    proxy = Proxy(parts.hostname or "127.0.0.1", parts.port or 5432)
    user = parts.netloc.rpartition("@")[0]
    try:
        yield proxy, parts._replace(netloc=f"{user}@127.0.0.1:{proxy.port}").geturl()
    finally:
        proxy.end()
