"""The page at `/node`: what was scored of one node, what made the score, and what was said of it.

Of a time of at most a day: the score with its threshold, anomalies and labels shaded; the features of one moment,
which is the highest score's or that of the row nearest to `at`; and every feature as a small chart. Each part of the
chart is a link to its moment, and each anomaly one to the form that labels it, so that no script is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import HTMLResponse

from receiver.columns import Scores
from receiver.store import Label
from receiver.web.anomalies import Anomaly, highest
from receiver.web.chart import PANEL, SMALL, Curve, chart, curve, height_of, span
from receiver.web.feedback import MAX_NAME_CHARACTERS, MAX_TIME_CHARACTERS, instant, period
from receiver.web.nodes import MAX_HISTORY_MS
from receiver.web.protocol import Service
from receiver.web.rendering import environment, page

RANGES = {"-15m": "15 minutes", "-1h": "1 hour", "-6h": "6 hours", "-24h": "24 hours"}
# Features of a moment: those below add little.
TOP_FEATURES = 8
# Parts of the chart that are links.
LINKS = 96

Name = Annotated[str, Query(max_length=MAX_NAME_CHARACTERS)]
Time = Annotated[str, Query(max_length=MAX_TIME_CHARACTERS)]


@dataclass(frozen=True, slots=True)
class Share:
    """A feature at the chosen moment; `percent` of what all features add to the score."""

    name: str
    help: str
    value: float
    percent: int | None


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature's chart."""

    name: str
    help: str
    curve: Curve | None


@dataclass(frozen=True, slots=True)
class Band:
    """A part of a chart that is shaded."""

    x: float
    width: float
    kind: str


def router(service: Service) -> APIRouter:
    """`/node`."""
    routes = APIRouter(include_in_schema=False)
    template = environment(service.catalogue.name).get_template("node.html")
    features = service.catalogue.features

    @routes.get("/node")
    def node_page(
        node: Name, cluster: Name | None = None, since: Time = "-15m", until: Time = "now", at: Time = ""
    ) -> HTMLResponse:
        now_ms = service.now_ms()
        since_ms, until_ms = period(since, until, now_ms)
        if until_ms - since_ms > MAX_HISTORY_MS:
            raise HTTPException(400, "since must be at most 24 hours before until")
        name = service.feedback.name_of(node, cluster)
        past = service.feedback.past(name, since_ms, until_ms + 1)
        scores = past.scores
        found = highest(scores)
        chosen = _chosen(scores, instant("at", at, now_ms) if at else None)
        body = template.render(
            name=name,
            source=past.source,
            muted=service.mutes.holding(now_ms).get(name),
            since=since,
            until=until,
            ranges=RANGES,
            since_ms=since_ms,
            until_ms=until_ms,
            chart=chart(scores.time_ms, scores.score, since_ms, until_ms + 1, PANEL),
            panel=PANEL,
            small=SMALL,
            threshold=height_of(1.0, PANEL),
            rows=len(scores),
            links=_links(since_ms, until_ms),
            anomalies=found,
            bands=_bands(found, past.labels, since_ms, until_ms, PANEL.width / SMALL.width),
            labels=past.labels,
            at_ms=None if chosen is None else int(scores.time_ms[chosen]),
            at_x=None if chosen is None else span(int(scores.time_ms[chosen]), 0, since_ms, until_ms, PANEL)[0],
            at_score=None if chosen is None else float(scores.score[chosen]),
            shares=[] if chosen is None else _shares(service, scores, chosen),
            features=[
                Feature(feature.name, feature.help, curve(scores.time_ms, scores.x[:, place], since_ms, until_ms + 1))
                for place, feature in enumerate(features)
            ]
            if len(scores)
            else [],
        )
        return page(body)

    return routes


def _chosen(scores: Scores, at_ms: int | None) -> int | None:
    """The row nearest to a time, or that of the highest score."""
    (finite,) = np.nonzero(np.isfinite(scores.score))
    if not len(finite):
        return None
    if at_ms is None:
        return int(finite[np.argmax(scores.score[finite])])
    return int(finite[np.argmin(np.abs(scores.time_ms[finite] - at_ms))])


def _shares(service: Service, scores: Scores, row: int) -> list[Share]:
    """What made the score of a row, the largest part first; the features alone where nobody computed that."""
    parts = np.maximum(np.nan_to_num(scores.contribution[row]), 0.0)
    whole = float(parts.sum())
    order = np.argsort(-parts, kind="stable")[:TOP_FEATURES].tolist()
    features = service.catalogue.features
    return [
        Share(
            features[place].name,
            features[place].help,
            float(scores.x[row, place]),
            round(100 * float(parts[place]) / whole) if whole else None,
        )
        for place in order
    ]


def _links(since_ms: int, until_ms: int) -> list[tuple[float, float, int]]:
    """The x, the width and the time of each part of the chart."""
    edges = np.linspace(since_ms, until_ms, LINKS + 1).astype(np.int64).tolist()
    width = PANEL.width / LINKS
    return [(place * width, width, (edges[place] + edges[place + 1]) // 2) for place in range(LINKS)]


def _bands(
    found: list[Anomaly], labels: list[Label], since_ms: int, until_ms: int, smaller: float
) -> dict[str, list[Band]]:
    """What is shaded in the large chart, and in each small one."""
    spans = [("anomaly", one.start_ms, one.end_ms) for one in found]
    spans += [("attack" if one.attack else "normal", one.start_ms, one.end_ms) for one in labels]
    panel = [Band(*span(start_ms, end_ms, since_ms, until_ms, PANEL), kind) for kind, start_ms, end_ms in spans]
    return {"panel": panel, "small": [Band(band.x / smaller, band.width / smaller, band.kind) for band in panel]}
