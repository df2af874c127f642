"""Stands before the app: lets a request through, or answers it before its body is read.

401 for nobody or for wrong credentials, with the ways to say who one is; 403 for a role that one does not have, and
for a path that `receiver.web.access.roles` does not have; 503 where too many passwords wait to be checked. The app
finds who asks in `receiver.web.author`, and what they may do by `may`. Nothing that a request says is logged: people
type passwords into fields for names.

A path that is open stays open to whoever says something wrong, or shows a certificate with no allowed name: they may
just do nothing beside it.
"""

from __future__ import annotations

from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from receiver.errors import Unavailable
from receiver.exposition import AccessRefused, StatusCode
from receiver.web.access.credentials import Principal
from receiver.web.access.current import Access, Rules
from receiver.web.access.roles import ALL_ROLES, OPEN, Need, Role, Roles, needed
from receiver.web.author import log_in

Headers = list[tuple[bytes, bytes]]
# Of a request's scope: what whoever sends it may do.
ROLES = "nodescore.roles"


class _RefusedError(Exception):
    def __init__(self, reason: AccessRefused, status: StatusCode, text: str, headers: Headers | None = None) -> None:
        self.reason, self.status, self.headers = reason, status, headers or []
        super().__init__(text)


def guarded(access: Access, app: ASGIApp) -> ASGIApp:
    """The app for those who may, by the rules of the moment."""

    async def gate(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        rules = access.rules
        if rules.headers:
            send = _with_headers(send, rules.headers)
        try:
            who, roles = await _admitted(rules, scope)
        except _RefusedError as refused:
            access.metrics.access_refused[refused.reason].inc()
            if needed(scope["method"], scope["path"]) == "write":
                access.metrics.count_request("unknown", refused.status)
            await _answer(send, refused)
            return
        # Always, because the request before may have begun this one's task, with what it knew.
        log_in("" if who is None else who.author)
        await app({**scope, ROLES: roles}, receive, send)

    return gate


def may(role: Role, scope: Scope) -> bool:
    """Whether whoever sends a request has a role; without a gate before the app, everybody has."""
    return role in scope.get(ROLES, ALL_ROLES)


async def _admitted(rules: Rules, scope: Scope) -> tuple[Principal | None, Roles]:
    """Who asks for what they may, and all that they may; None where nobody has to say. Raises `_RefusedError`."""
    need = needed(scope["method"], scope["path"])
    try:
        return await _allowed(rules, scope, need)
    except _RefusedError:
        if need != OPEN:
            raise
        return None, frozenset()


async def _allowed(rules: Rules, scope: Scope, need: Need | None) -> tuple[Principal | None, Roles]:
    names: frozenset[str] = scope.get("state", {}).get("certificate_names", frozenset())
    if rules.allowed_sans and not rules.allowed_sans & names:
        raise _RefusedError("role", 403, "the certificate has none of the names that client_allowed_sans allows")
    if not rules.asks:
        return None, ALL_ROLES
    who = await _known(rules, scope, names)
    if who is None:
        challenges = [(b"www-authenticate", challenge) for challenge in rules.credentials.challenges]
        raise _RefusedError("credentials", 401, "no credentials, or wrong ones", challenges)
    if need is None:
        raise _RefusedError("role", 403, f"no role may {scope['method']} this path")
    if need != OPEN and need not in who.roles:
        raise _RefusedError("role", 403, f"this needs the role {need!r}, which {who.author} does not have")
    return who, who.roles


async def _known(rules: Rules, scope: Scope, names: frozenset[str]) -> Principal | None:
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    if not given:
        return rules.credentials.of_certificate(names)
    if len(given) > 1:
        return None
    client = scope.get("client")
    try:
        return await rules.credentials.of_header(given[0], client[0] if client else "")
    except Unavailable as error:
        wait = [(b"retry-after", b"%d" % error.retry_after_seconds)]
        raise _RefusedError("busy", 503, str(error), wait) from None


def _with_headers(send: Send, headers: tuple[tuple[bytes, bytes], ...]) -> Send:
    replaced = {name for name, _ in headers}

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept: list[Any] = [(name, value) for name, value in message["headers"] if name.lower() not in replaced]
            message = {**message, "headers": [*kept, *headers]}
        await send(message)

    return sending


async def _answer(send: Send, refused: _RefusedError) -> None:
    body = str(refused).encode() + b"\n"
    headers = [
        *refused.headers,
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
