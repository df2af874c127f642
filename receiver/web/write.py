"""`POST /api/v1/write`: remote write, versions 1 and 2.

204 with an empty body, or the status of the error with a text that says what and where. An answer to version 2
carries the counts of what was written, a failure too; an answer to version 1 never does. The type and encoding are
checked before the body is looked at, its size while it arrives. A browser that sends for a page of another site is
refused, like everywhere else. A plain ASGI app beside FastAPI's, whose middleware,
routes and request objects would cost as much as the rest of HTTP.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from receiver.errors import NodescoreError, Unavailable
from receiver.exposition import Protocol
from receiver.service import Service
from receiver.web.origin import ELSEWHERE, asked_elsewhere
from receiver.wire import Written, check_encoding, version_of
from receiver.wire.body import check_compressed_size

PATH = "/api/v1/write"
PROTOCOLS: Mapping[int, Protocol] = {1: "v1", 2: "v2"}

Headers = list[tuple[bytes, bytes]]

# All headers that are read here.
READ = (b"content-type", b"content-encoding", b"content-length", b"origin", b"sec-fetch-site", b"host")

log = logging.getLogger(__name__)


class _ElsewhereError(Exception):
    """A page of another site has asked for this."""


class _HungUpError(Exception):
    """The sender has gone before the end of its body."""


def with_remote_write(service: Service, others: ASGIApp) -> ASGIApp:
    """The endpoint over a running service, and `others` for every other path."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == PATH:
            await _write(service, scope, receive, send)
        else:
            await others(scope, receive, send)

    return app


async def _write(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    metrics = service.exposition.metrics
    version, written, extra = 0, Written(), Headers()
    try:
        if scope["method"] != "POST":
            status, text = 405, "remote write is sent with POST"
            extra.append((b"allow", b"POST"))
        else:
            headers = _that_say_something(scope["headers"])
            if asked_elsewhere(headers):
                raise _ElsewhereError
            version = version_of(headers)
            check_encoding(headers)
            body = await _body(headers, receive)
            began = time.perf_counter()
            batch = await service.worker.write(body, headers)
            metrics.request_seconds.observe(time.perf_counter() - began)
            status, text, written = batch.status, batch.message, batch.written
    except NodescoreError as error:
        status, text = error.http_status, str(error)
        if isinstance(error, Unavailable):
            extra.append((b"retry-after", b"%d" % error.retry_after_seconds))
    except _ElsewhereError:
        status, text = 403, ELSEWHERE
    except _HungUpError:
        return
    except Exception:
        # Ours to mend, but the same body would fail for ever: a 5xx would make the sender send nothing else.
        log.exception("a request could not be taken apart")
        status, text = 400, "this request cannot be taken apart, which is a fault of Nodescore; its log says more"
    if version == 2:
        extra += _counts(written)
    metrics.count_request(PROTOCOLS.get(version, "unknown"), status)
    await _answer(send, status, text, extra)


def _that_say_something(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Of all headers those that are read here."""
    headers = dict(raw)
    return {name.decode(): headers[name].decode("latin-1") for name in READ if name in headers}


async def _body(headers: Mapping[str, str], receive: Receive) -> bytes:
    """The body, refused as soon as it is known to be over the limit."""
    declared = headers.get("content-length", "")
    if declared.isdigit():
        check_compressed_size(int(declared))
    chunks: list[bytes] = []
    size_bytes, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _HungUpError
        size_bytes += len(message["body"])
        check_compressed_size(size_bytes)
        chunks.append(message["body"])
        more = message["more_body"]
    return b"".join(chunks)


def _counts(written: Written) -> Headers:
    return [
        (b"x-prometheus-remote-write-samples-written", b"%d" % written.samples),
        (b"x-prometheus-remote-write-histograms-written", b"%d" % written.histograms),
        (b"x-prometheus-remote-write-exemplars-written", b"%d" % written.exemplars),
    ]


async def _answer(send: Send, status: int, text: str, headers: Headers) -> None:
    """204 has no body; the others say why they are not one."""
    body = b""
    if status != 204:
        log.debug("remote write answered %d: %s", status, text)
        body = text.encode() + b"\n"
        headers += [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(body)),
            (b"x-content-type-options", b"nosniff"),
        ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
