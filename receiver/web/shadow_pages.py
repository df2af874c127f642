"""The page at `/shadow`: the form that has a version score beside the active one, or do so no more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import HTMLResponse, Response

from receiver.store.models import MAX_NAME_CHARACTERS
from receiver.web.forms import answered, fields, read
from receiver.web.models import Change, found
from receiver.web.protocol import Service
from receiver.web.rendering import environment, page

FIELDS = ("by", "reason")

Version = Annotated[str, Query(max_length=MAX_NAME_CHARACTERS)]


def router(service: Service) -> APIRouter:
    """`/shadow`."""
    routes = APIRouter(include_in_schema=False)
    form = environment(service.catalogue.name).get_template("shadow.html")

    def show(version: str, given: Mapping[str, str], fault: str = "", status: int = 200) -> HTMLResponse:
        listed = service.models()
        of = found(listed, version)
        others = [one.version.version for one in listed if one.state == "shadow" and one is not of]
        body = form.render(candidate=version, state=of.state, others=others, given=given, fault=fault)
        return page(body, status)

    @routes.get("/shadow")
    def shadow_form(version: Version) -> HTMLResponse:
        return show(version, dict.fromkeys(FIELDS, ""))

    @routes.post("/shadow")
    def shadow(version: Version, given: Annotated[dict[str, str], Depends(fields)]) -> Response:
        said = {name: given.get(name, "") for name in FIELDS}

        def change() -> str:
            who = read(Change, said)
            if given.get("action") == "end":
                service.end_shadow(version, who.by, who.reason)
            else:
                service.shadow_model(version, who.by, who.reason)
            return "models"

        return answered(change, lambda fault, status: show(version, said, fault, status))

    return routes
