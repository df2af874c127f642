"""The OpenAPI description at `/openapi.json`: what FastAPI knows of the routes, and all that it does not know.

`described` takes the description that FastAPI makes and gives it with remote write, with the ways to say who one is,
with the role that each operation needs (`receiver.web.access.roles`), and with every refusal, which are plain text
here. `refusals` is what a route says of those that it has beside the usual ones. Costs some milliseconds, once.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from receiver.web.access.roles import OPEN, needed
from receiver.web.write import PATH
from receiver.wire.negotiation import V1_MESSAGE, V2_MESSAGE

TEXT = "text/plain"
REFUSALS = {
    400: "Something in the request is wrong; the text says what.",
    401: "Where the web configuration asks for it: no credentials, or wrong ones.",
    403: "Where the web configuration asks for it: a role that one does not have. Or a page of another site has asked.",
    404: "There is no such node, label or version.",
    409: "What is to be changed is no longer as it was; the text says how it is.",
    413: "The body is too large.",
    415: "A Content-Type or Content-Encoding that is not taken.",
    422: "Nothing was scored at that time; the text says when something was.",
    503: "Cannot be done now; try again after the seconds of Retry-After.",
}
# What one may say who one is by; each is enough.
SCHEMES: dict[str, dict[str, str]] = {
    "user": {"type": "http", "scheme": "basic", "description": "A user of basic_auth_users."},
    "token": {"type": "http", "scheme": "bearer", "description": "One of nodescore.bearer_tokens."},
    "certificate": {"type": "mutualTLS", "description": "A client certificate with a name of permissions."},
}
# FastAPI's own refusal, which `receiver.web.app` answers otherwise.
UNUSED = ("HTTPValidationError", "ValidationError")


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`."""
    return {status: _refusal(status) for status in statuses}


def described(made_by_fastapi: dict[str, Any], asks: bool) -> dict[str, Any]:
    """The whole description, for a service that asks who one is, or asks nobody."""
    whole = deepcopy(made_by_fastapi)
    whole["paths"][PATH] = {"post": deepcopy(WRITE)}
    components = whole.setdefault("components", {})
    for name in UNUSED:
        components.get("schemas", {}).pop(name, None)
    components["securitySchemes"] = SCHEMES
    for path, method, operation in operations(whole):
        _complete(path, method, operation, asks)
    return whole


def operations(description: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method in capitals and what is said of it."""
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def _complete(path: str, method: str, operation: dict[str, Any], asks: bool) -> None:
    answers = operation["responses"]
    if "HTTPValidationError" in str(answers.get("422", "")):
        del answers["422"]
    usual = [400] if operation.get("parameters") or "requestBody" in operation else []
    usual += [413, 415] if "requestBody" in operation else []
    need = needed(method, path)
    if need != OPEN:
        usual += [401, 403, 503]
        operation["security"] = [{name: []} for name in SCHEMES] if asks else []
        operation["description"] = f"{operation.get('description', '')}\n\nNeeds the role `{need}`.".strip()
    for status in usual:
        answers.setdefault(str(status), _refusal(status))
    operation["responses"] = dict(sorted(answers.items()))


def _refusal(status: int) -> dict[str, Any]:
    return {"description": REFUSALS[status], "content": {TEXT: {"schema": {"type": "string"}}}}


def _counted(status: int, text: str) -> dict[str, Any]:
    """An answer with the counts that version 2 gives."""
    names = ("Samples", "Histograms", "Exemplars")
    headers = {
        f"X-Prometheus-Remote-Write-{name}-Written": {
            "description": f"Version 2 only: how many {name.lower()} were taken.",
            "schema": {"type": "integer"},
        }
        for name in names
    }
    body = {} if status == 204 else {"content": {TEXT: {"schema": {"type": "string"}}}}
    return {"description": text, "headers": headers, **body}


# Not a route of FastAPI's; see `receiver.web.write`.
WRITE: dict[str, Any] = {
    "tags": ["remote write"],
    "summary": "Take samples: Prometheus remote write, 1.0 and 2.0",
    "operationId": "remote_write",
    "parameters": [
        {
            "name": "Content-Encoding",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "enum": ["snappy"]},
        }
    ],
    "requestBody": {
        "required": True,
        "description": "Snappy's block format.",
        "content": {
            f"application/x-protobuf;proto={message}": {"schema": {"type": "string", "format": "binary"}}
            for message in (V1_MESSAGE, V2_MESSAGE)
        },
    },
    "responses": {
        "202": _counted(202, "Not kept: from the replica of a pair that is not listened to now."),
        "204": _counted(204, "Kept: in the journal, on disk."),
        "400": _counted(400, "The text says what cannot be taken; all else of the request is kept."),
    },
}
