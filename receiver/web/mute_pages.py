"""The page at `/mute`: whether alerts of a node are muted, who said what of it, and the form that changes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query
from fastapi.responses import HTMLResponse, Response

from receiver.store.mutes import MAX_MUTE_MS
from receiver.web.feedback import MAX_NAME_CHARACTERS
from receiver.web.forms import answered, fields, read
from receiver.web.mutes import End, NewMute, add, end
from receiver.web.protocol import Service
from receiver.web.rendering import environment, page

DURATIONS = {"1h": "1 hour", "2h": "2 hours", "8h": "8 hours", "1d": "1 day", "3d": "3 days", "7d": "7 days"}
FIELDS = ("duration", "reason", "author")

Name = Annotated[str, Query(max_length=MAX_NAME_CHARACTERS)]


def router(service: Service) -> APIRouter:
    """`/mute`."""
    routes = APIRouter(include_in_schema=False)
    template = environment(service.catalogue.name).get_template("mute.html")

    def show(
        node: str, cluster: str | None, given: Mapping[str, str], fault: str = "", status: int = 200
    ) -> HTMLResponse:
        now_ms = service.now_ms()
        name = service.feedback.name_of(node, cluster)
        body = template.render(
            name=name,
            muted=service.mutes.holding(now_ms).get(name),
            history=[entry for entry in service.mutes.history(now_ms - MAX_MUTE_MS) if entry.name == name],
            durations=DURATIONS,
            given=given,
            fault=fault,
        )
        return page(body, status)

    @routes.get("/mute")
    def mute_form(node: Name, cluster: Name | None = None) -> HTMLResponse:
        return show(node, cluster, {"duration": "2h", "reason": "", "author": ""})

    @routes.post("/mute")
    def mute(node: Name, cluster: Name, given: Annotated[dict[str, str], Depends(fields)]) -> Response:
        said = {name: given.get(name, "") for name in FIELDS}
        of = {"node": node, "cluster": cluster}

        def change() -> str:
            if given.get("action") == "end":
                end(service, read(End, {**of, "reason": said["reason"], "author": said["author"]}))
            else:
                add(service, read(NewMute, {**of, **said}))
            return "node?" + urlencode(of)

        return answered(change, lambda fault, status: show(node, cluster, said, fault, status))

    return routes
