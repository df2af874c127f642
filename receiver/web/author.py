"""Who says something: whoever is logged in, and only where nobody has to log in, whoever they say they are.

`log_in` notes for the request that is answered now who it is from; the gate of `receiver.web.access` does for every
request. `Author` is the type of each field that names somebody, of a form or of the API: what is said there is replaced
when it is read, so that no page and no route can forget to.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

MAX_AUTHOR_CHARACTERS = 200

_USER = ContextVar("user", default="")


def log_in(name: str) -> None:
    """The request that is answered now is this one's; "" where nobody has to say who they are."""
    _USER.set(name)


def user() -> str:
    """Who is logged in; "" where nobody has to be."""
    return _USER.get()


def _who_it_is(said: Any) -> Any:
    """What is no name at all stays one that is refused."""
    return user() or said if isinstance(said, str) and len(said) <= MAX_AUTHOR_CHARACTERS else said


def _may_be_empty(schema: dict[str, Any]) -> None:
    """Where one has to log in; elsewhere it is refused."""
    del schema["minLength"]


Author = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_AUTHOR_CHARACTERS,
        json_schema_extra=_may_be_empty,
        description="Where one has to log in: whoever has, whatever name stands here; elsewhere not empty.",
    ),
    BeforeValidator(_who_it_is),
]
