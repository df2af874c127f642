"""The templates of the pages, and the headers that a page has."""

from __future__ import annotations

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from receiver import __version__
from receiver.web.author import user
from receiver.web.instants import format_instant


def environment(entity: str) -> Environment:
    """Everything is escaped, and a name that a template lacks is an error; `entity` is the word for what is scored."""
    made = Environment(loader=PackageLoader("receiver.web"), autoescape=True, undefined=StrictUndefined)
    made.trim_blocks = made.lstrip_blocks = True
    made.filters["utc"] = format_instant
    made.globals["version"] = __version__
    made.globals["entity"] = entity
    made.globals["user"] = user
    return made


def page(text: str, status: int = 200) -> HTMLResponse:
    """A page that no cache keeps."""
    return HTMLResponse(text, status, headers={"Cache-Control": "no-store"})
