"""The page at `/`: every node by its score, with its alert, its last quarter of an hour, and what drives it.

Rendered here, whole, and usable as it comes; a short script only spares the reader the reloading. Names of clusters
and nodes are written by whoever sends samples: they are escaped, and isolated (`bdi`) from the text around them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse

from receiver.columns import NodeName, Scores
from receiver.errors import Unavailable
from receiver.exposition import Snapshot
from receiver.health import Component
from receiver.web.chart import SPARKLINE, Chart, chart, height_of
from receiver.web.instants import format_duration
from receiver.web.nodes import MAX_SEARCH_CHARACTERS, known_count, ranked
from receiver.web.protocol import Service
from receiver.web.rendering import environment
from receiver.web.rendering import page as rendered

NODES_A_PAGE = 50
FEATURES_A_NODE = 3
HISTORY_MS = 15 * 60_000
# As often as a quick scrape brings something new.
REFRESH_SECONDS = 5
STATIC_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Share:
    """A feature in a node's score; `percent` of what all features add to it."""

    name: str
    help: str
    percent: int


@dataclass(frozen=True, slots=True)
class Line:
    """A node in the table."""

    name: NodeName
    score: float
    alert: str  # for how long it has been open; "" where none is
    age: str
    chart: Chart
    shares: list[Share]


@dataclass(frozen=True, slots=True)
class Silent:
    """A node that has stopped sending."""

    name: NodeName
    age: str


def router(service: Service) -> APIRouter:
    """`/` and the files it needs."""
    routes = APIRouter(include_in_schema=False)
    template = environment(service.catalogue.name).get_template("overview.html")
    static = {file.name: file.read_bytes() for file in resources.files("receiver.web").joinpath("static").iterdir()}

    @routes.get("/")
    def overview(
        request: Request,
        q: Annotated[str, Query(max_length=MAX_SEARCH_CHARACTERS)] = "",
        page: Annotated[int, Query(ge=1)] = 1,
    ) -> HTMLResponse:
        body = template.render(
            url=str(request.base_url),
            target=request.url.netloc,
            q=q,
            width=SPARKLINE.width,
            height=SPARKLINE.height,
            threshold=height_of(1.0),
            history_minutes=HISTORY_MS // 60_000,
            refresh_seconds=REFRESH_SECONDS,
            **_now(service, q, page),
        )
        return rendered(body)

    @routes.get("/static/{name}")
    async def file(name: str) -> Response:
        if name not in static:
            raise HTTPException(404, "Not Found")
        media = STATIC_TYPES[name[name.rindex(".") :]]
        return Response(static[name], media_type=media, headers={"Cache-Control": "no-cache"})

    return routes


def _now(service: Service, q: str, page: int) -> dict[str, Any]:
    """What the page says of this moment: the nodes that the search finds, and the service."""
    now_ms = service.now_ms()
    snapshot = service.exposition.snapshot
    fresh = snapshot.fresh(now_ms, service.exposition.staleness_seconds)
    found = ranked(snapshot, fresh, q)
    pages = max(1, -(-len(found) // NODES_A_PAGE))
    page = min(page, pages)
    shown = found[(page - 1) * NODES_A_PAGE : page * NODES_A_PAGE].tolist()
    troubles = [component for component in service.status() if component.state != "ok"]
    try:
        history = service.history(now_ms - HISTORY_MS, now_ms + 1, snapshot.node[shown].tolist())
    except Unavailable as error:  # the scores of now are in memory, and are what one has come for
        history = Scores.empty(len(snapshot.feature_names))
        troubles.append(Component("history", "degraded", str(error)))
    return {
        "model": snapshot.model_version,
        "detector": snapshot.model_detector,
        "troubles": troubles,
        "time": datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%H:%M:%S UTC"),
        "page": page,
        "pages": pages,
        "total": len(found),
        "scored": len(fresh),
        "alerts": int(np.count_nonzero(snapshot.raised_ms[fresh])),
        "anomalous": int(np.count_nonzero(snapshot.score[fresh] > 1.0)),
        "silent_count": known_count(snapshot) - len(fresh),
        "silent": _silent(snapshot, fresh.tolist(), now_ms),
        "lines": _lines(service, snapshot, shown, history, now_ms),
        "muted": service.mutes.holding(now_ms),
    }


def _lines(service: Service, snapshot: Snapshot, shown: list[int], history: Scores, now_ms: int) -> list[Line]:
    shares = _shares(service, snapshot, shown)
    return [
        Line(
            name=snapshot.names[node],
            score=float(snapshot.score[node]),
            alert=format_duration(now_ms - raised_ms) if (raised_ms := int(snapshot.raised_ms[node])) else "",
            age=format_duration(now_ms - int(snapshot.time_ms[node])),
            chart=_chart_of(history, int(snapshot.node[node]), now_ms),
            shares=shares[position],
        )
        for position, node in enumerate(shown)
    ]


def _chart_of(history: Scores, node: int, now_ms: int) -> Chart:
    mine = history.node == node
    return chart(history.time_ms[mine], history.score[mine], now_ms - HISTORY_MS, now_ms + 1)


def _shares(service: Service, snapshot: Snapshot, nodes: list[int]) -> list[list[Share]]:
    helps = {feature.name: feature.help for feature in service.catalogue.features}
    tops = service.exposition.top_features(snapshot, np.array(nodes, np.int64))
    wholes = np.nansum(np.maximum(snapshot.contribution[nodes], 0.0), axis=1).tolist()
    return [
        [Share(name, helps.get(name, name), round(100 * part / whole)) for name, part in top[:FEATURES_A_NODE]]
        for top, whole in zip(tops, wholes, strict=True)
    ]


def _silent(snapshot: Snapshot, fresh: list[int], now_ms: int) -> list[Silent]:
    """The nodes that fell silent last, as many as stand on a page."""
    quiet = np.setdiff1d(np.flatnonzero(snapshot.time_ms), fresh)
    latest = quiet[np.argsort(-snapshot.time_ms[quiet], kind="stable")][:NODES_A_PAGE]
    return [Silent(snapshot.names[i], format_duration(now_ms - int(snapshot.time_ms[i]))) for i in latest.tolist()]
