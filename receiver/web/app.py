"""The HTTP side: one FastAPI app over a running service.

`create_app` takes a `Service` and gives an app with all endpoints but remote write, which `receiver.web.write` adds:
those for the operation, the JSON API, the pages. Errors of our tree become plain-text answers here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from receiver import __version__
from receiver.errors import ConfigurationError, NodescoreError, Unavailable
from receiver.web import (
    audit_page,
    data_page,
    feedback,
    label_pages,
    model_pages,
    models,
    mute_pages,
    mutes,
    node_page,
    nodes,
    operation,
    overview,
    shadow_pages,
)
from receiver.web.access import Access
from receiver.web.description import described
from receiver.web.forms import faults
from receiver.web.origin import BodyLimit
from receiver.web.protocol import Service

# Nothing comes from elsewhere, nothing is run that is not a file of ours, nobody frames the page. Without any referrer,
# browsers would hide from us that a form is ours.
STRICT_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class _App(FastAPI):
    """With a description of all that it answers."""

    def __init__(self, access: Access | None) -> None:
        # The documentation pages of FastAPI fetch their scripts from a CDN; the description is at /openapi.json.
        super().__init__(title="Nodescore", version=__version__, docs_url=None, redoc_url=None)
        self._access = access

    def openapi(self) -> dict[str, Any]:
        """For the web configuration of the moment."""
        return described(super().openapi(), asks=self._access is not None and self._access.rules.asks)


def create_app(service: Service, access: Access | None = None) -> FastAPI:
    """An app that answers for `service`; starting and stopping the service is the caller's, and so is the gate."""
    app = _App(access)
    app.add_middleware(BodyLimit)
    app.add_middleware(_HeadersMiddleware, headers=STRICT_HEADERS)
    app.add_exception_handler(NodescoreError, _nodescore_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.include_router(nodes.router(service))
    app.include_router(feedback.router(service))
    app.include_router(models.router(service))
    app.include_router(mutes.router(service))
    app.include_router(overview.router(service))
    app.include_router(node_page.router(service))
    app.include_router(label_pages.router(service))
    app.include_router(mute_pages.router(service))
    app.include_router(model_pages.router(service))
    app.include_router(shadow_pages.router(service))
    app.include_router(audit_page.router(service))
    app.include_router(data_page.router(service))
    app.include_router(operation.router(service, access))
    return app


async def _nodescore_error(_: Request, error: Exception) -> Response:
    if isinstance(error, Unavailable):
        return _plain(str(error), 503, {"Retry-After": str(error.retry_after_seconds)})
    # A wrong model or setting is for whoever asked for the reload, and asking again will not mend it.
    status = 400 if isinstance(error, ConfigurationError) else getattr(error, "http_status", 500)
    return _plain(str(error), status)


async def _http_error(_: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 500)
    return _plain(str(getattr(error, "detail", error)), status, getattr(error, "headers", None))


async def _validation_error(_: Request, error: Exception) -> Response:
    return _plain(faults(error.errors()) if isinstance(error, RequestValidationError) else "", 400)


def _plain(text: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    return PlainTextResponse(text + "\n", status_code=status, headers=headers)


class _HeadersMiddleware:
    """Sets headers on every answer that does not set them itself."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str]) -> None:
        self.app = app
        self.headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    answer.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, send_with_headers)
