"""A real uvicorn in a thread of the test."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import uvicorn

SEND_BUFFER_BYTES = 64 * 1024


@contextmanager
def served(config: uvicorn.Config, tls: ssl.SSLContext | None = None) -> Iterator[tuple[str, int]]:
    """The address on which it answers, to a client's TLS where it is given one.

    What the kernel takes of an answer that nobody reads is little there.
    """
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    host, port = listening.getsockname()
    try:
        # The socket listens already, so this waits for the server rather than being refused by it.
        url = f"{'http' if tls is None else 'https'}://{host}:{port}/-/healthy"
        httpx.get(url, verify=tls or True, timeout=30).raise_for_status()
        yield host, port
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
