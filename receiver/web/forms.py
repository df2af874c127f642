"""What the form of a page says, and where to go when it was done.

`fields` takes only what a page of ours has sent, a few fields of it. `read` and `answered` have what cannot be meant or
done said on the page itself: the form comes again with what was typed, and with the status that the API answers.
`faults` says what pydantic finds wrong, for the API too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from fastapi import HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, ValidationError

from receiver.errors import ConfigurationError, NodescoreError
from receiver.web.origin import form_from_here

# More than any form of ours has.
MAX_FIELDS = 16

# No text here must have more than one character.
_EMPTY = "must not be empty"

Said = TypeVar("Said", bound=BaseModel)


async def fields(request: Request) -> dict[str, str]:
    """The fields of a form that a page of ours has sent."""
    form_from_here(request)
    try:
        text = (await request.body()).decode("ascii")
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict"))
    except ValueError as error:
        raise HTTPException(400, f"the form cannot be read: {error}") from None


def read(model: type[Said], given: Mapping[str, str | None]) -> Said:
    """What the form says; 400 where it cannot be meant."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise HTTPException(400, faults(error.errors())) from None


def faults(errors: Iterable[Mapping[str, Any]]) -> str:
    """Each with the name of its field."""
    return "; ".join(
        f"{_field(one['loc'])}: {_EMPTY if one['type'] == 'string_too_short' else one['msg']}" for one in errors
    )


def _field(where: Iterable[int | str]) -> str:
    """The innermost name; numbers tell of places within."""
    return [part for part in where if isinstance(part, str)][-1]


def answered(change: Callable[[], str], again: Callable[[str, int], HTMLResponse]) -> Response:
    """Go to the address that a change leads to, or show the form again with what is wrong and the status."""
    try:
        address = change()
    except HTTPException as error:
        return again(str(error.detail), error.status_code)
    except NodescoreError as error:
        return again(str(error), 400 if isinstance(error, ConfigurationError) else error.http_status)
    return RedirectResponse(address, 303)
