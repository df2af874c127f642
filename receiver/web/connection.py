"""One connection that cannot hold the others up: deadlines, sizes and numbers, below every path of the app.

uvicorn waits for its senders without end and keeps whatever they send. `Connection` is its HTTP protocol
(`uvicorn.Config(http=…)`) with, for each thing that a connection can wait for, a deadline:

    header   from the connection, or the first byte, to the end of the header   408, closed
    body     from the header to the end of the body                             408, closed
    served   for us                                                             none
    unread   for the sender to read an answer that the kernel has no room for   cut off
    idle     between two requests                                               closed

A header that is too large is answered 431; bytes that are not HTTP, 400. What all connections may hold together has
limits as well, which `receiver.web.room` keeps. A request that arrives in one piece costs no timer.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, Literal

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from receiver.exposition import Dropped
from receiver.settings import MAX_COMPRESSED_BYTES
from receiver.web.access.tls import names_of
from receiver.web.room import Room, State

# What Node.js and most proxies allow; senders' headers have 300 bytes in 8 lines.
MAX_HEADER_BYTES = 16 * 1024
MAX_HEADERS = 100
# The largest body, and how its chunks are framed. Beyond it a refused sender is not listened to any more.
MAX_REQUEST_BYTES = MAX_COMPRESSED_BYTES + 1024 * 1024
# Requests of one connection behind the one that is answered. Senders of remote write send none ahead.
MAX_PIPELINED = 8


class Connection(HttpToolsProtocol):
    """uvicorn's protocol, which reads requests and writes answers, in a room."""

    _room: ClassVar[Room]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._state: State | None = None  # None: not in the room, or not any more
        self._timer: asyncio.TimerHandle | None = None
        self._part: Literal["header", "body"] | None = "header"  # of the request that arrives
        self._arrived_bytes = 0  # of it
        self._certificate_names: frozenset[str] = frozenset()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Opened by the sender."""
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None:
            self._certificate_names = names_of(tls.getpeercert())
        room = self._room
        room.metrics.connections.inc()
        room.arriving[self] = None
        self._state = "header"
        self._set_timer(room.limits.header_seconds)
        room.bound_connections()

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed, by either side."""
        self._leave()
        self._set_timer(None)
        self._room.metrics.connections.dec()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take the next bytes."""
        if self._state is None or self._is_last():
            return
        self._arrived_bytes += len(data)
        self._room.arriving_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.cycle.keep_alive = False  # it is answered as if it had not asked, and what follows is not for us
        except httptools.HttpParserError:
            self._refuse(400, "this is not an HTTP/1.1 request", "malformed")
            return
        if self._part is None:
            self._forget_arrived()
        self._update()
        self._check_size()
        self._room.bound_bytes()

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._part = "header"
        super().on_message_begin()
        if self._certificate_names:
            self.scope["state"]["certificate_names"] = self._certificate_names

    def on_headers_complete(self) -> None:
        """Its header is there: the app starts."""
        self._part = "body"
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Its last byte."""
        self._part = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The app has answered, possibly before the end of the body."""
        super().on_response_complete()
        self._update()

    def pause_writing(self) -> None:
        """The sender does not read."""
        super().pause_writing()
        self._update()
        self._room.bound_unread()

    def resume_writing(self) -> None:
        """It has read."""
        super().resume_writing()
        self._update()

    def timeout_keep_alive_handler(self) -> None:
        """Idle for too long, which is as good a reason as any to leave."""
        self._close()

    def make_room(self) -> None:
        """Leave, for others who wait less long."""
        if self._state in ("header", "body"):
            self._refuse(503, "too many connections wait, or too much of unfinished requests; send it again", "room")
        else:
            self._room.metrics.connections_dropped["room"].inc()
            self._close()

    @property
    def _latest(self) -> RequestResponseCycle | None:
        return self.cycle  # None before the first request, which uvicorn's types leave out

    def _is_unanswered(self) -> bool:
        """Whether what is sent now would be the answer to the request that arrives."""
        latest = self._latest
        if self._part == "header":
            return latest is None or latest.response_complete
        return latest is not None and not latest.response_started and not self.pipeline

    def _is_last(self) -> bool:
        """Whether the connection ends with the request that is there: nothing may follow it."""
        return self._part is None and not self.cycle.keep_alive

    def _update(self) -> None:
        """Note what the connection waits for now; its deadline begins with that."""
        if self.flow.write_paused or self.transport.is_closing():
            state: State = "unread"
        elif self._part:
            state = self._part
        else:
            state = "idle" if self.cycle.response_complete else "served"
        before, place = self._state, self._room.place
        if before is None or before == state:
            return
        if place[state] is not place[before]:
            del place[before][self]
            place[state][self] = None
        self._state = state
        self._set_timer(self._room.seconds.get(state))
        if state != "idle":
            self._unset_keepalive_if_required()

    def _overdue(self) -> None:
        limits, state = self._room.limits, self._state
        if state == "header":
            text = f"the header was not complete within {limits.header_seconds:g} s"
            self._refuse(408, text, "header_timeout")
        elif state == "body":
            self._refuse(408, f"the body was not complete within {limits.body_seconds:g} s", "body_timeout")
        else:
            if state == "unread":
                self._room.metrics.connections_dropped["answer_timeout"].inc()
                self._leave()
            self.transport.abort()

    def _check_size(self) -> None:
        if self._part == "header" and self._arrived_bytes > MAX_HEADER_BYTES:
            self._refuse(431, f"the header is over {MAX_HEADER_BYTES} bytes", "size")
        elif len(self.headers or ()) > MAX_HEADERS:  # a chunked body may be followed by more
            self._refuse(431, f"the header has over {MAX_HEADERS} fields", "size")
        elif self._arrived_bytes > MAX_REQUEST_BYTES:
            self._refuse(413, f"the request is over {MAX_REQUEST_BYTES} bytes", "size")
        elif len(self.pipeline) > MAX_PIPELINED:
            self._refuse(503, f"over {MAX_PIPELINED} requests were sent ahead", "size")

    def _refuse(self, status: int, text: str, reason: Dropped) -> None:
        """Answer if it is this request's turn and has none yet, and close."""
        if self._state is None:
            return
        self._room.metrics.connections_dropped[reason].inc()
        if self._is_unanswered():
            fields = [
                b"content-type: text/plain; charset=utf-8",
                b"content-length: %d" % (len(text) + 1),
                b"connection: close",
            ]
            if status == 503:
                fields.append(b"retry-after: 1")
            head = STATUS_LINE[status] + b"\r\n".join([*fields, b"\r\n"])
            self.transport.write(head + text.encode("ascii") + b"\n")
        self._close()

    def _close(self) -> None:
        """Close once the little that is left is sent, or else when the deadline of an answer is over."""
        self._leave()
        if self.flow.write_paused:
            self.transport.abort()
            return
        if self._latest is not None:
            self._latest.disconnected = True  # an answer that the app still gives would come behind this end
        self.transport.close()
        self._set_timer(self._room.limits.answer_seconds)

    def _leave(self) -> None:
        if self._state is not None:
            del self._room.place[self._state][self]
            self._state = None
            self._forget_arrived()

    def _forget_arrived(self) -> None:
        self._room.arriving_bytes -= self._arrived_bytes
        self._arrived_bytes = 0

    def _set_timer(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self._overdue)


def connection_class(room: Room) -> type[Connection]:
    """For `uvicorn.Config(http=…)`, which makes the connections itself: the class of those in this room."""

    class ConnectionInRoom(Connection):
        _room = room

    return ConnectionInRoom
