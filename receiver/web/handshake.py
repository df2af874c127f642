"""A connection until its TLS stands, in the same room as all others.

asyncio would wait a minute for a client who says nothing, and let there be any number of them. `Handshake` counts as a
connection whose header arrives: it has as long (`Limits.header_seconds`), and where there are too many the one that has
waited longest makes room. When TLS stands, it hands over to the connection itself, with what was said meanwhile. Takes
the context of the moment, so that a renewed certificate is shown to everybody who comes from then on.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, ClassVar, cast

from receiver.web.access import Access
from receiver.web.connection import Connection
from receiver.web.room import Room


class Handshake(asyncio.Protocol):
    """Shakes hands, and then is nothing any more."""

    _room: ClassVar[Room]
    _access: ClassVar[Access]
    _of: ClassVar[type[Connection]]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._connection = self._of(*arguments, **options)
        self._said = b""
        self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Opened by the client."""
        self._transport = cast("asyncio.Transport", transport)
        room = self._room
        room.metrics.connections.inc()
        room.arriving[self] = None
        self._task = asyncio.get_running_loop().create_task(self._shake())
        room.bound_connections()

    def data_received(self, data: bytes) -> None:
        """Said before the handshake begins here, or in the same breath as its end."""
        self._said += data

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  as asyncio has it
        """Closed before the handshake begins here, or between its end and the handing over."""
        self._lost = True

    def make_room(self) -> None:
        """Leave, for others who wait less long."""
        self._room.metrics.connections_dropped["room"].inc()
        self._leave()
        self._transport.abort()

    async def _shake(self) -> None:
        tls = None if self._lost else await self._stands()
        self._leave()
        if tls is None or self._lost or tls.is_closing():
            return
        tls.set_protocol(self._connection)
        self._connection.connection_made(tls)
        if self._said:
            self._connection.data_received(self._said)

    async def _stands(self) -> asyncio.Transport | None:
        loop, transport = asyncio.get_running_loop(), self._transport
        context = cast("ssl.SSLContext", self._access.tls)
        seconds = self._room.limits.header_seconds
        transport.pause_reading()
        hello, self._said = self._said, b""
        begun = loop.create_task(
            loop.start_tls(transport, self, context, server_side=True, ssl_handshake_timeout=seconds)
        )
        await asyncio.sleep(0)  # it has its place before the transport now, and reads after what follows
        loop.call_soon(_feed, transport, hello)
        try:
            return await begun
        except OSError:  # what TLS raises, too, and what comes of too little in time
            if self in self._room.arriving:
                self._room.metrics.connections_dropped["tls"].inc()
            self._transport.abort()
            return None

    def _leave(self) -> None:
        if self in self._room.arriving:
            del self._room.arriving[self]
            self._room.metrics.connections.dec()


def _feed(transport: asyncio.Transport, data: bytes) -> None:
    """What was read too early, as if it came now: uvloop begins to read before anybody can say what it is for."""
    protocol = cast("asyncio.BufferedProtocol", transport.get_protocol())
    while data and not transport.is_closing():
        buffer = memoryview(protocol.get_buffer(len(data)))
        taken = min(len(buffer), len(data))
        buffer[:taken] = data[:taken]
        protocol.buffer_updated(taken)
        data = data[taken:]


def handshake_class(room: Room, access: Access, of: type[Connection]) -> type[Handshake]:
    """For `uvicorn.Config(http=…)`: the class of those that become connections of this class."""

    class HandshakeInRoom(Handshake):
        _room, _access, _of = room, access, of

    return HandshakeInRoom
