"""`POST /api/v1/write`: remote write, versions 1 and 2.

204 with an empty body, or the status of the error with a text that says what and where. An answer to version 2
carries the counts of what was written, a failure too; an answer to version 1 never does. The type and encoding are
checked before the body is looked at, its size while it arrives. A plain ASGI route: FastAPI's reading of parameters
would cost as much as the decoding.
"""

from __future__ import annotations

import logging
import time

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from receiver.errors import NodescoreError, Unavailable
from receiver.exposition import Metrics
from receiver.service import Service
from receiver.wire import Written, check_encoding, version_of
from receiver.wire.body import check_compressed_size

PATH = "/api/v1/write"

log = logging.getLogger(__name__)


def route(service: Service) -> Route:
    """The endpoint over a running service."""

    async def write(request: Request) -> Response:
        return await _write(service, request)

    return Route(PATH, write, methods=["POST"], include_in_schema=False)


async def _write(service: Service, request: Request) -> Response:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.scope["headers"]}
    metrics = service.exposition.metrics
    version = 0
    written = Written()
    extra: dict[str, str] = {}
    try:
        version = version_of(headers)
        check_encoding(headers)
        body = await _body(request)
        began = time.perf_counter()
        batch = await service.write(body, headers)
        metrics.request_seconds.observe(time.perf_counter() - began)
        status, text, written = batch.status, batch.message, batch.written
    except NodescoreError as error:
        status, text = error.http_status, str(error)
        if isinstance(error, Unavailable):
            extra["Retry-After"] = str(error.retry_after_seconds)
    except ClientDisconnect:
        return Response(status_code=400)
    except Exception:
        # Ours to mend, but the same body would fail for ever: a 5xx would make the sender send nothing else.
        log.exception("a request could not be taken apart")
        status, text = 400, "this request cannot be taken apart, which is a fault of Nodescore; its log says more"
    if version == 2:
        extra |= _written_headers(written)
    _count(metrics, version, status)
    if status == 204:
        return Response(status_code=204, headers=extra)
    log.debug("remote write answered %d: %s", status, text)
    return Response(text + "\n", status, extra, "text/plain; charset=utf-8")


async def _body(request: Request) -> bytes:
    """The body, refused as soon as it is known to be over the limit."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit():
        check_compressed_size(int(declared))
    chunks: list[bytes] = []
    size_bytes = 0
    async for chunk in request.stream():
        size_bytes += len(chunk)
        check_compressed_size(size_bytes)
        chunks.append(chunk)
    return b"".join(chunks)


def _written_headers(written: Written) -> dict[str, str]:
    return {
        "X-Prometheus-Remote-Write-Samples-Written": str(written.samples),
        "X-Prometheus-Remote-Write-Histograms-Written": str(written.histograms),
        "X-Prometheus-Remote-Write-Exemplars-Written": str(written.exemplars),
    }


def _count(metrics: Metrics, version: int, status: int) -> None:
    metrics.count_request("v2" if version == 2 else "v1" if version == 1 else "unknown", status)
