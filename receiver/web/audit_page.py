"""The page at `/audit`: moments of a day below the threshold, each with a link to its node and to the form.

What is offered, and why the same ones to everybody, `receiver.audit` says. Looking for them takes some 50 ms, and a
second of 5,000 nodes.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import HTMLResponse

from receiver.audit import AROUND_MS, DAY_MS
from receiver.web.protocol import Service
from receiver.web.rendering import environment, page

# Days that the page links to; older ones are asked for by their address.
DAYS = 7
# On the node's page, before and after the moment.
SHOWN_MS = 30 * 60_000


def router(service: Service) -> APIRouter:
    """`/audit`."""
    routes = APIRouter(include_in_schema=False)
    template = environment(service.catalogue.name).get_template("audit.html")

    @routes.get("/audit")
    def audit(
        day: Annotated[date | None, Query(description="In UTC; yesterday where none is named.")] = None,
    ) -> HTMLResponse:
        today = datetime.fromtimestamp(service.now_ms() / 1000, UTC).date()
        chosen = day or today - timedelta(days=1)
        if not date(1970, 1, 1) <= chosen <= today:
            raise HTTPException(400, f"day: {chosen} is not a day that has been")
        audited = service.feedback.audit((chosen - date(1970, 1, 1)).days * DAY_MS)
        body = template.render(
            offers=audited.offers,
            source=audited.source,
            day=chosen,
            days=[today - timedelta(days=back) for back in range(DAYS)],
            around_ms=AROUND_MS,
            shown_ms=SHOWN_MS,
        )
        return page(body)

    return routes
