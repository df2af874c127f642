"""The JSON API of the model's versions: list them, look at one, activate one, roll back, score in the shadow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from receiver.registry import Listed, State
from receiver.store import Activation, Shadowing
from receiver.store.models import MAX_REASON_CHARACTERS
from receiver.web.author import Author
from receiver.web.description import refusals
from receiver.web.instants import format_instant
from receiver.web.origin import json_from_here
from receiver.web.protocol import Service


class ModelAnswer(BaseModel):
    """A version of the model."""

    version: str
    state: State
    detector: str
    sha256: str = Field(description="Of its file.")
    size_bytes: int
    parent: str = Field(description="The version that it was made to follow; empty where there is none.")
    created: str = Field(description="When it was added, RFC 3339.")
    trained_from: str | None
    trained_until: str | None
    labels: dict[str, int] = Field(description="How many of each kind it has learnt from.")
    measures: dict[str, Any] = Field(description="How it did beside the active one, and the reasons of the verdict.")


class ModelsAnswer(BaseModel):
    """All versions, in the order in which they were added."""

    models: list[ModelAnswer]


class CardAnswer(ModelAnswer):
    """A version with its card."""

    card: dict[str, Any]


class Change(BaseModel):
    """Who changes the active version, and why."""

    model_config = ConfigDict(extra="forbid")

    by: Author = Field("api", validate_default=True)
    reason: str = Field("", max_length=MAX_REASON_CHARACTERS)


class ActivationAnswer(BaseModel):
    """What is active now; replicas follow within 10 s."""

    version: str
    before: str = Field(description="The version until then.")
    at: str = Field(description="RFC 3339.")
    by: str
    reason: str
    rollback: bool


class ShadowAnswer(BaseModel):
    """What scores beside the active version now; replicas follow within 10 s."""

    version: str = Field(description="Empty where none does.")
    at: str = Field(description="RFC 3339.")
    by: str
    reason: str


def router(service: Service) -> APIRouter:
    """`/api/v1/models` and below."""
    routes = APIRouter(prefix="/api/v1/models", tags=["models"])

    @routes.get("", summary="Versions of the model")
    def models() -> ModelsAnswer:
        return ModelsAnswer(models=[ModelAnswer(**_fields(listed)) for listed in service.models()])

    @routes.get("/{version}", summary="One version, with its card", responses=refusals(404))
    def model(version: str) -> CardAnswer:
        one = found(service.models(), version)
        return CardAnswer(**_fields(one), card=dict(one.version.card))

    @routes.post(
        "/rollback", summary="Back to the version that was active before", dependencies=[Depends(json_from_here)]
    )
    def rollback(change: Annotated[Change, Body()]) -> ActivationAnswer:
        return _answer(service.roll_back_model(change.by, change.reason))

    @routes.post("/{version}/activate", summary="Go on with a version", dependencies=[Depends(json_from_here)])
    def activate(version: str, change: Annotated[Change, Body()]) -> ActivationAnswer:
        return _answer(service.activate_model(version, change.by, change.reason))

    @routes.post(
        "/{version}/shadow",
        summary="Have a version score beside the active one",
        dependencies=[Depends(json_from_here)],
    )
    def shadow(version: str, change: Annotated[Change, Body()]) -> ShadowAnswer:
        return _shadowing(service.shadow_model(version, change.by, change.reason))

    @routes.post("/{version}/shadow/end", summary="Have it do so no more", dependencies=[Depends(json_from_here)])
    def end_shadow(version: str, change: Annotated[Change, Body()]) -> ShadowAnswer:
        return _shadowing(service.end_shadow(version, change.by, change.reason))

    return routes


def found(listed: Iterable[Listed], version: str) -> Listed:
    """The one of this name; 404 where there is none."""
    for one in listed:
        if one.version.version == version:
            return one
    raise HTTPException(404, f"there is no model {version!r}")


def _fields(listed: Listed) -> dict[str, Any]:
    version = listed.version
    return {
        "version": version.version,
        "state": listed.state,
        "detector": str(version.card.get("detector", "")),
        "sha256": version.sha256,
        "size_bytes": version.size_bytes,
        "parent": version.parent,
        "created": format_instant(version.created_ms),
        "trained_from": None if version.trained_from_ms is None else format_instant(version.trained_from_ms),
        "trained_until": None if version.trained_until_ms is None else format_instant(version.trained_until_ms),
        "labels": dict(version.labels),
        "measures": dict(version.measures),
    }


def _answer(entry: Activation) -> ActivationAnswer:
    return ActivationAnswer(
        version=entry.version,
        before=entry.before,
        at=format_instant(entry.at_ms),
        by=entry.by,
        reason=entry.reason,
        rollback=entry.rollback,
    )


def _shadowing(entry: Shadowing) -> ShadowAnswer:
    return ShadowAnswer(version=entry.version, at=format_instant(entry.at_ms), by=entry.by, reason=entry.reason)
