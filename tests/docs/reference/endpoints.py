"""Every path that the service answers, by the table that says who may ask for it, and what the API takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from receiver.web.access.roles import NEEDS, needed
from receiver.web.app import create_app
from tests.docs.reference.markdown import code, table
from tests.web.service import HeldService

HEAD = """\
# Endpoints

`role` is what a request needs where a [web configuration](../web-config.md) says who may do what. `/openapi.json`
describes the JSON API for programs, with every field.

Bodies are JSON with `Content-Type: application/json`; requests that a browser sends from another site are refused.
Times are RFC 3339, Unix seconds, or like `-15m`. Errors are answered in plain text that says what was wrong: 400 for
what cannot be meant, 404 for what is not there, 409 for a change of what somebody else has changed meanwhile, 422 for a
time without scores, 503 with `Retry-After` while the store is away.

## JSON API

"""
OTHERS = """
## Protocol, operation and pages

"""
# The paths beside the JSON API.
MEANINGS: Mapping[str, str] = {
    "/": "page: nodes by score",
    "/-/healthy": "200 while the process answers",
    "/-/ready": "200 while samples are taken, 503 otherwise; and how each part is",
    "/-/reload": "read the web configuration and the model again",
    "/activate": "page: activate a version",
    "/api/v1/write": "remote write, versions 1.0 and 2.0",
    "/audit": "page: moments below the threshold to look at",
    "/data": "page: the data set",
    "/export": "the data set as a file",
    "/feedback": "page: say what an interval was",
    "/label": "page: a label with its history",
    "/labels": "page: what was said",
    "/metrics": "what Prometheus scrapes",
    "/models": "page: versions of the model",
    "/mute": "page: mute a node",
    "/node": "page: a node",
    "/openapi.json": "the description of the JSON API",
    "/rollback": "page: go back to the version before",
    "/shadow": "page: have a version score in the shadow",
    "/static/*": "style and scripts of the pages",
}


def page() -> str:
    """A table of the JSON API, and one of the rest."""
    described = create_app(HeldService({})).openapi()
    api = table(["request", "role", "does", "takes"], _api(described))
    others = table(["path", "roles", "is"], _others())
    return HEAD + api + OTHERS + others


def _api(described: Mapping[str, Any]) -> Iterator[list[str]]:
    for path, methods in described["paths"].items():
        if path.startswith("/api/") and path not in MEANINGS:
            for method, operation in methods.items():
                role = needed(method.upper(), path)
                yield [code(f"{method.upper()} {path}"), str(role), operation["summary"], _takes(described, operation)]


def _takes(described: Mapping[str, Any], operation: Mapping[str, Any]) -> str:
    """Names of what may be given, in the query or in the body; those that must be in bold."""
    query = [(one["name"], one["required"]) for one in operation.get("parameters", []) if one["in"] == "query"]
    body: list[tuple[str, bool]] = []
    if "requestBody" in operation:
        (media,) = operation["requestBody"]["content"].values()
        schema = described["components"]["schemas"][media["schema"]["$ref"].rpartition("/")[2]]
        required = schema.get("required", [])
        body = [(name, name in required) for name in schema.get("properties", {})]
    parts = [(names, kind) for names, kind in ((query, "query"), (body, "body")) if names]
    return "; ".join(f"{kind}: {', '.join(map(_name, names))}" for names, kind in parts)


def _name(parameter: tuple[str, bool]) -> str:
    name, required = parameter
    return f"**{code(name)}**" if required else code(name)


def _others() -> Iterator[list[str]]:
    listed = {path: needs for path, needs in NEEDS.items() if not path.startswith("/api/") or path in MEANINGS}
    if listed.keys() != MEANINGS.keys():
        raise ValueError(f"paths without a meaning, or without a role: {sorted(listed.keys() ^ MEANINGS.keys())}")
    for path in sorted(listed):
        roles = [f"{method}: {'none' if need == 'open' else need}" for method, need in listed[path].items()]
        yield [code(path), ", ".join(roles), MEANINGS[path]]
