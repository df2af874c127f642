"""The JSON API of nodes and their scores, and what the page shares with it: which nodes, in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
from fastapi import APIRouter, HTTPException, Path, Query
from pydantic import BaseModel, Field

from receiver.columns import Int64, NodeName
from receiver.exposition import Snapshot
from receiver.web.description import refusals
from receiver.web.feedback import MAX_NAME_CHARACTERS, MAX_TIME_CHARACTERS, period
from receiver.web.instants import format_instant
from receiver.web.protocol import Service

# A day at 10 s is 8,640 points and 500 KB of JSON; `nodescore export` is for more.
MAX_HISTORY_MS = 24 * 3_600_000
MAX_SEARCH_CHARACTERS = 256


class FeatureShare(BaseModel):
    """A feature that drives a score."""

    name: str
    help: str
    contribution: float


class NodeAnswer(BaseModel):
    """A node as it is now."""

    cluster: str
    node: str
    score: float = Field(description="Of the last row; above 1 is anomalous.")
    time: str = Field(description="Of the last row, RFC 3339.")
    alert_since: str | None = Field(description="Of the row that raised the alert that is open; null where none is.")
    top_features: list[FeatureShare] = Field(description="Largest contribution first; empty where none was computed.")


class NodesAnswer(BaseModel):
    """A page of the nodes with a score, highest first."""

    total: int = Field(description="Nodes that the search finds.")
    silent: int = Field(description="Nodes that have sent nothing within the staleness limit; they have no score.")
    nodes: list[NodeAnswer]


class Point(BaseModel):
    """A scored row."""

    time_ms: int
    score: float


class ScoresAnswer(BaseModel):
    """Scores of one node, in time order."""

    cluster: str
    node: str
    points: list[Point]


def ranked(snapshot: Snapshot, fresh: Int64, search: str) -> Int64:
    """Those of the fresh nodes whose cluster or name has the text, highest score first."""
    wanted = search.strip().casefold()
    if wanted:
        matches = [wanted in "/".join(snapshot.names[node]).casefold() for node in fresh]
        fresh = fresh[np.array(matches, np.bool_)]
    return fresh[np.argsort(-snapshot.score[fresh], kind="stable")]


def known_count(snapshot: Snapshot) -> int:
    """Nodes that have ever sent a row, silent ones included."""
    return int(np.count_nonzero(snapshot.time_ms))


def router(service: Service) -> APIRouter:
    """`/api/v1/nodes` and below."""
    routes = APIRouter(prefix="/api/v1", tags=["nodes"])
    helps = {feature.name: feature.help for feature in service.catalogue.features}

    @routes.get("/nodes", summary="Nodes by score")
    def nodes(
        q: Annotated[
            str, Query(description="Part of a cluster's or node's name.", max_length=MAX_SEARCH_CHARACTERS)
        ] = "",
        offset: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=20_000)] = 1000,
    ) -> NodesAnswer:
        exposition = service.exposition
        snapshot = exposition.snapshot
        fresh = snapshot.fresh(service.now_ms(), exposition.staleness_seconds)
        found = ranked(snapshot, fresh, q)
        shown = found[offset : offset + limit]
        tops = exposition.top_features(snapshot, shown)
        return NodesAnswer(
            total=len(found),
            silent=known_count(snapshot) - len(fresh),
            nodes=[_answer(snapshot, node, top, helps) for node, top in zip(shown.tolist(), tops, strict=True)],
        )

    @routes.get("/nodes/{node:path}/scores", summary="Scores of a node over time", responses=refusals(404))
    def scores(
        node: Annotated[str, Path(max_length=MAX_NAME_CHARACTERS)],
        cluster: Annotated[
            str | None,
            Query(max_length=MAX_NAME_CHARACTERS, description="Needed where several clusters have the node."),
        ] = None,
        since: Annotated[
            str, Query(max_length=MAX_TIME_CHARACTERS, description="RFC 3339, Unix seconds, or like -15m.")
        ] = "-15m",
        until: Annotated[str, Query(max_length=MAX_TIME_CHARACTERS, description="Not included.")] = "now",
    ) -> ScoresAnswer:
        now_ms = service.now_ms()
        since_ms, until_ms = period(since, until, now_ms)
        if until_ms - since_ms > MAX_HISTORY_MS:
            raise HTTPException(400, "since must be at most 24 hours before until; `nodescore export` does more")
        id_, name = _find(service, node, cluster)
        history = service.history(since_ms, until_ms, [id_])
        pairs = zip(history.time_ms.tolist(), history.score.tolist(), strict=True)
        points = [Point(time_ms=time_ms, score=round(score, 6)) for time_ms, score in pairs if np.isfinite(score)]
        return ScoresAnswer(cluster=name.cluster, node=name.node, points=points)

    return routes


def _answer(snapshot: Snapshot, node: int, top: Sequence[tuple[str, float]], helps: Mapping[str, str]) -> NodeAnswer:
    raised_ms = int(snapshot.raised_ms[node])
    return NodeAnswer(
        cluster=snapshot.names[node].cluster,
        node=snapshot.names[node].node,
        score=round(float(snapshot.score[node]), 6),
        time=format_instant(int(snapshot.time_ms[node])),
        alert_since=format_instant(raised_ms) if raised_ms else None,
        top_features=[FeatureShare(name=name, help=helps.get(name, name), contribution=share) for name, share in top],
    )


def _find(service: Service, node: str, cluster: str | None) -> tuple[int, NodeName]:
    snapshot = service.exposition.snapshot
    known = zip(snapshot.node.tolist(), snapshot.names, strict=True)
    found = [(id_, name) for id_, name in known if name.node == node and cluster in (None, name.cluster)]
    if not found:
        where = "" if cluster is None else f" in cluster {cluster!r}"
        raise HTTPException(404, f"no node {node!r}{where} is known")
    if len(found) > 1:
        clusters = ", ".join(sorted(repr(name.cluster) for _, name in found))
        raise HTTPException(400, f"node {node!r} is in several clusters; say which with cluster=: {clusters}")
    return found[0]
