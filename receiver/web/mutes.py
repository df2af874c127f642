"""The JSON API of mutes: which nodes' alerts are quiet until when, and who said so.

A mute keeps the alerts of a node quiet and changes nothing else: what it was has to be said by a label all the same.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Depends, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field

from receiver.store import Mute
from receiver.store.mutes import MAX_REASON_CHARACTERS
from receiver.web.author import Author
from receiver.web.description import refusals
from receiver.web.feedback import MAX_NAME_CHARACTERS, MAX_TIME_CHARACTERS, instant
from receiver.web.instants import format_instant, parse_duration_ms
from receiver.web.origin import json_from_here
from receiver.web.protocol import Service


class End(BaseModel):
    """Whose mute ends."""

    model_config = ConfigDict(extra="forbid")

    node: str = Field(min_length=1, max_length=MAX_NAME_CHARACTERS)
    cluster: str | None = Field(
        None, max_length=MAX_NAME_CHARACTERS, description="Needed where several clusters have the node."
    )
    reason: str = Field("", max_length=MAX_REASON_CHARACTERS)
    author: Author = Field("", validate_default=True)


class NewMute(End):
    """Which node's alerts shall be quiet for how long."""

    duration: str = Field(max_length=MAX_TIME_CHARACTERS, description="From now on, like 2h; at most 7d.")


class MuteAnswer(BaseModel):
    """An entry: it holds until its end, or until a later entry of the node."""

    cluster: str
    node: str
    until: str = Field(description="RFC 3339, in UTC, as all times; not later than `at` where the entry ends a mute.")
    reason: str
    author: str
    at: str = Field(description="When the entry was made.")


class MutesAnswer(BaseModel):
    """What holds now, and what was entered."""

    mutes: list[MuteAnswer] = Field(description="Those that hold now, by cluster and node.")
    history: list[MuteAnswer] = Field(description="The entries since the time that was asked for, in their order.")


def router(service: Service) -> APIRouter:
    """`/api/v1/mutes` and below."""
    routes = APIRouter(prefix="/api/v1/mutes", tags=["mutes"])
    from_here = [Depends(json_from_here)]

    @routes.get("", summary="Whose alerts are muted")
    def mutes(
        since: Annotated[str, Query(max_length=MAX_TIME_CHARACTERS, description="Of the history.")] = "-7d",
    ) -> MutesAnswer:
        now_ms = service.now_ms()
        held = service.mutes.holding(now_ms)
        history = service.mutes.history(instant("since", since, now_ms))
        return MutesAnswer(
            mutes=[answer(held[name]) for name in sorted(held)], history=[answer(entry) for entry in history]
        )

    @routes.post(
        "",
        summary="Mute a node's alerts for a while",
        status_code=201,
        dependencies=from_here,
        responses=refusals(404),
    )
    def mute(said: Annotated[NewMute, Body()]) -> MuteAnswer:
        return answer(add(service, said))

    @routes.post("/end", summary="End a mute", dependencies=from_here, responses=refusals(404))
    def end_mute(said: Annotated[End, Body()]) -> MuteAnswer:
        return answer(end(service, said))

    return routes


def add(service: Service, said: NewMute) -> Mute:
    """Mute a node. Raises what `receiver.feedback` and `receiver.muting` raise."""
    try:
        for_ms = parse_duration_ms(said.duration)
    except ValueError as error:
        raise HTTPException(400, f"duration: {error}") from None
    name = service.feedback.name_of(said.node, said.cluster)
    return service.mutes.mute(name, for_ms, said.reason, said.author, service.now_ms())


def end(service: Service, said: End) -> Mute:
    """End a node's mute. Raises as `add`."""
    name = service.feedback.name_of(said.node, said.cluster)
    return service.mutes.end(name, said.reason, said.author, service.now_ms())


def answer(mute: Mute) -> MuteAnswer:
    """An entry as the API gives it."""
    return MuteAnswer(
        cluster=mute.name.cluster,
        node=mute.name.node,
        until=format_instant(mute.until_ms),
        reason=mute.reason,
        author=mute.author,
        at=format_instant(mute.at_ms),
    )
