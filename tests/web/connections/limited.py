"""A service within limits behind the real server, what senders send it, and what it says of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import httpx
import uvicorn

from receiver import catalogue
from receiver.service import Service
from receiver.web.room import Limits
from tests.servers.process import wait_until
from tests.web.sender import Sender
from tests.web.served import served
from tests.web.service import HeldService
from tests.wire.requests import body, series

HEALTHY = b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n"
HALF_HEADER = b"POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Le"
HALF_BODY = b"POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf"
CHUNKED = b"POST /api/v1/write HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
METRICS = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
CATALOGUE = catalogue.load()


class Server:
    """A service behind the real server, and its senders."""

    def __init__(self, stack: ExitStack, service: Service | HeldService, config: uvicorn.Config) -> None:
        self.stack = stack
        self.service = service
        self.address = stack.enter_context(served(config))
        wait_until(lambda: self.connections() == 0, "nobody is connected")

    def sender(self) -> Sender:
        one = Sender(self.address)
        self.stack.callback(one.socket.close)
        return one

    def write(self) -> int:
        """What a well-behaved sender is answered, over a connection of its own."""
        host, port = self.address
        content = body(1, [series("node_load1", 1.0, self.service.now_ms())])
        return httpx.post(f"http://{host}:{port}/api/v1/write", content=content, timeout=30).status_code

    def dropped(self, reason: str) -> float:
        text = f'nodescore_connections_dropped_total{{reason="{reason}"}} '
        return self._metric(text)

    def connections(self) -> float:
        return self._metric("\nnodescore_connections ")

    def _metric(self, start: str) -> float:
        return float(self.service.exposition.render("")[0].decode().split(start)[1].split("\n")[0])


Serve = Callable[[Limits], Server]
