"""The endpoints that operators know from Prometheus: `/metrics`, `/-/healthy`, `/-/ready`, `/-/reload`."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import PlainTextResponse

from receiver.web.access import Access, may
from receiver.web.description import refusals
from receiver.web.origin import from_here
from receiver.web.protocol import Service
from receiver.web.reloading import reload_all


def router(service: Service, access: Access | None) -> APIRouter:
    """The four; `access` is reloaded with the service."""
    routes = APIRouter(tags=["operation"], default_response_class=PlainTextResponse)

    @routes.get(
        "/metrics",
        summary="What Prometheus scrapes",
        responses={200: {"content": {"application/openmetrics-text": {"schema": {"type": "string"}}}}},
    )
    def metrics(request: Request) -> Response:
        body, content_type = service.exposition.render(request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type})

    @routes.get("/-/healthy", summary="200 while the process answers")
    async def healthy() -> PlainTextResponse:
        return PlainTextResponse("Nodescore is healthy.\n")

    @routes.get(
        "/-/ready",
        summary="200 while samples are taken, 503 otherwise; says how each part is, and why to who may look",
        responses=refusals(503),
    )
    def ready(request: Request) -> PlainTextResponse:
        status = service.status()
        down = any(component.state == "down" for component in status)
        first = "Nodescore cannot take samples." if down else "Nodescore is ready."
        why = may("look", request.scope)
        lines = [f"{one.name}: {one.state}" + (f": {one.text}" if why else "") for one in status]
        return PlainTextResponse("\n".join([first, *lines]) + "\n", status_code=503 if down else 200)

    @routes.post(
        "/-/reload",
        summary="Read the web configuration and the model again",
        responses=refusals(400),
        dependencies=[Depends(from_here)],
    )
    def reload() -> PlainTextResponse:
        return PlainTextResponse(reload_all(service, access) + "\n")

    return routes
