"""Whether a request that changes something was asked for by a page of ours.

Who looks at our pages must not label, send samples, or activate a model, by looking at another site's.

`from_here` refuses what a browser says another site has asked for; programs, which say nothing of the kind, pass.
`json_from_here`, for the API, takes JSON only besides, which no form can send. `form_from_here`, for forms, takes only
what a browser says a page of ours has asked for. They raise `HTTPException`; `asked_elsewhere` is for what is no route
of FastAPI's. `BodyLimit` refuses bodies that no form or label has.
"""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import HTTPException, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# A label's text of 10,000 characters, each of four bytes and escaped as twelve, and what stands around it.
MAX_BODY_BYTES = 256 * 1024


ELSEWHERE = "refused: a page of another site has asked for this"


def asked_elsewhere(headers: Mapping[str, str]) -> bool:
    """Whether a browser says that a page of another site has asked for this; `headers` has lower-case names.

    A page can send bytes without a type, and the password that the browser knows with them, without asking us first.
    """
    origin = headers.get("origin")
    if origin is not None and not _is_ours(headers, origin):
        return True
    return headers.get("sec-fetch-site", "none") not in ("none", "same-origin")


def from_here(request: Request) -> None:
    """Refuse what a browser sends for another site."""
    if asked_elsewhere(request.headers):
        raise HTTPException(403, ELSEWHERE)


def json_from_here(request: Request) -> None:
    """Refuse what a browser sends for another site, and what is no JSON."""
    from_here(request)
    if request.method != "DELETE" and _content_type(request) != "application/json":
        raise HTTPException(415, "the Content-Type must be application/json")


def form_from_here(request: Request) -> None:
    """Refuse a form that is not ours, as far as the browser says; `Sec-Fetch-Site` is only sent over TLS."""
    origin = request.headers.get("origin", "")
    if not _is_ours(request.headers, origin) or request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise HTTPException(403, "refused: this form was not sent from a page of this service; programs use /api/v1")
    if _content_type(request) != "application/x-www-form-urlencoded":
        raise HTTPException(415, "the Content-Type must be application/x-www-form-urlencoded")


def _is_ours(headers: Mapping[str, str], origin: str) -> bool:
    return origin.partition("://")[2] == headers.get("host")


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


class BodyLimit:
    """Gives up on a body that is longer than `MAX_BODY_BYTES`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        taken = 0

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > MAX_BODY_BYTES:
                raise HTTPException(413, f"the body has more than {MAX_BODY_BYTES} bytes")
            return message

        await self.app(scope, bounded, send)
