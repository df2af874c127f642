"""The JSON API of feedback: say what an interval of a node was, see what was said, change it, withdraw it.

A change names the revision that it changes, and is answered 409 with what holds now where that is another one; nothing
that was said is ever overwritten. A label of a time without scores is answered 422, with the nearest times that have
one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, HTTPException, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from receiver.errors import Conflict
from receiver.feedback import next_revision
from receiver.store import Label, Moment, Verdict
from receiver.store.labelling import KEY_CHARACTERS, MAX_TEXT_CHARACTERS
from receiver.web.author import Author
from receiver.web.description import refusals
from receiver.web.instants import format_instant, parse_instant_ms
from receiver.web.origin import json_from_here
from receiver.web.protocol import Service

MAX_NAME_CHARACTERS = 1000
# An instant as text.
MAX_TIME_CHARACTERS = 64
MAX_LABELS = 10_000
ATTACKS = ("TP", "FN")

KEY_PATTERN = f"^[0-9a-f]{{{KEY_CHARACTERS}}}$"
Key = Annotated[str, Path(pattern=KEY_PATTERN)]
Time = Annotated[str, Field(max_length=MAX_TIME_CHARACTERS, description="RFC 3339, Unix seconds, or like -15m.")]


class Said(BaseModel):
    """What somebody says of an interval."""

    model_config = ConfigDict(extra="forbid")

    start: Time
    end: Annotated[str, Field(max_length=MAX_TIME_CHARACTERS, description="The same; included.")]
    verdict: Verdict = Field(
        description="Of the alert, or of its absence: TP and FN say that it was an attack, FP and TN that it was not."
    )
    details: str = Field("", max_length=MAX_TEXT_CHARACTERS)
    author: Author = Field("", validate_default=True)


class NewFeedback(Said):
    """What somebody says of an interval of a node."""

    node: str = Field(min_length=1, max_length=MAX_NAME_CHARACTERS)
    cluster: str | None = Field(
        None, max_length=MAX_NAME_CHARACTERS, description="Needed where several clusters have the node."
    )


class Change(Said):
    """What somebody says instead."""

    revision: int = Field(ge=1, description="The one that is changed; 409 where it is not the newest.")


class FeatureMoment(BaseModel):
    """A feature of the row that a label is about."""

    name: str
    value: float | None = Field(description="What the model saw; null where it was missing.")
    contribution: float | None = Field(description="What it added to the score; null where none was computed.")


class MomentAnswer(BaseModel):
    """The row with the highest score in a label's interval, as it was when the label was made."""

    time: str
    features: list[FeatureMoment]


class LabelAnswer(BaseModel):
    """One revision of a label."""

    key: str = Field(description="Of the label, the same for all its revisions.")
    revision: int
    cluster: str
    node: str
    start: str = Field(description="RFC 3339, in UTC, as all times.")
    end: str = Field(description="Included.")
    attack: bool
    verdict: Literal["TP", "FP", "TN", "FN"] | None
    details: str
    author: str
    created: str = Field(description="When this revision was made.")
    withdrawn: bool
    score: float | None = Field(description="The highest in the interval; null where the label was made without.")
    model: str | None = Field(description="The version that gave this score.")
    moment: MomentAnswer | None


class LabelsAnswer(BaseModel):
    """Labels that hold, by start."""

    source: str = Field(description="Where they were read.")
    labels: list[LabelAnswer]


class HistoryAnswer(LabelAnswer):
    """The revision that holds, with all that there were."""

    source: str = Field(description="Where it was read.")
    history: list[LabelAnswer] = Field(description="All revisions, the one that holds last.")


def router(service: Service) -> APIRouter:
    """`/api/v1/feedback` and `/api/v1/labels`."""
    routes = APIRouter(prefix="/api/v1", tags=["feedback"])
    from_here = [Depends(json_from_here)]

    @routes.post(
        "/feedback",
        summary="Say what an interval was",
        status_code=201,
        dependencies=from_here,
        responses=refusals(404, 422),
    )
    def feedback(said: Annotated[NewFeedback, Body()]) -> LabelAnswer:
        return answer(add(service, said))

    @routes.get("/labels", summary="What was said of a time")
    def labels(
        since: Annotated[str, Query(max_length=MAX_TIME_CHARACTERS)] = "-7d",
        until: Annotated[str, Query(max_length=MAX_TIME_CHARACTERS, description="Not included.")] = "now",
        node: Annotated[str | None, Query(max_length=MAX_NAME_CHARACTERS)] = None,
        cluster: Annotated[str | None, Query(max_length=MAX_NAME_CHARACTERS)] = None,
    ) -> LabelsAnswer:
        now_ms = service.now_ms()
        said = service.feedback.labels(*period(since, until, now_ms))
        chosen = [one for one in said.labels if node in (None, one.name.node) and cluster in (None, one.name.cluster)]
        if len(chosen) > MAX_LABELS:
            raise HTTPException(400, f"{len(chosen)} labels; ask for a shorter time, for at most {MAX_LABELS}")
        return LabelsAnswer(source=said.source, labels=[answer(label) for label in chosen])

    @routes.get("/labels/{key}", summary="A label with its history", responses=refusals(404))
    def label(key: Key) -> HistoryAnswer:
        said = service.feedback.history(key)
        now = answer(said.labels[-1])
        return HistoryAnswer(**dict(now), source=said.source, history=[answer(one) for one in said.labels])

    @routes.put(
        "/labels/{key}", summary="Say something else", dependencies=from_here, responses=refusals(404, 409, 422)
    )
    def change(key: Key, said: Annotated[Change, Body()]) -> LabelAnswer:
        return answer(revise(service, key, said))

    @routes.delete("/labels/{key}", summary="Withdraw a label", dependencies=from_here, responses=refusals(404, 409))
    def delete(
        key: Key,
        revision: Annotated[int, Query(ge=1, description="The one that is withdrawn; 409 where it is not the newest.")],
        author: Annotated[Author, Query()],
    ) -> LabelAnswer:
        return answer(withdraw(service, key, revision, author))

    return routes


def add(service: Service, said: NewFeedback) -> Label:
    """Keep a new label. Raises what `receiver.feedback` raises."""
    now_ms = service.now_ms()
    name = service.feedback.name_of(said.node, said.cluster)
    return service.feedback.add(Label(name=name, **_spoken(said, now_ms)), now_ms)


def revise(service: Service, key: str, said: Change) -> Label:
    """Keep a revision. Raises what `receiver.feedback` raises."""
    now_ms = service.now_ms()
    before = _edited(service, key, said.revision)
    after = replace(before, **_spoken(said, now_ms), withdrawn=False)
    return service.feedback.revise(next_revision(before, after), now_ms)


def withdraw(service: Service, key: str, revision: int, author: str) -> Label:
    """Keep the revision that withdraws a label. Raises what `receiver.feedback` raises."""
    now_ms = service.now_ms()
    before = _edited(service, key, revision)
    after = replace(before, author=author, created_ms=now_ms, withdrawn=True)
    return service.feedback.revise(next_revision(before, after), now_ms)


def instant(name: str, text: str, now_ms: int) -> int:
    """The time that a field names, in Unix milliseconds; 400 where it is none."""
    try:
        return parse_instant_ms(text, now_ms)
    except ValueError as error:
        raise HTTPException(400, f"{name}: {error}") from None


def period(since: str, until: str, now_ms: int) -> tuple[int, int]:
    """The times that the fields of these names have; 400 where there is no time in between."""
    since_ms, until_ms = instant("since", since, now_ms), instant("until", until, now_ms)
    if since_ms >= until_ms:
        raise HTTPException(400, "since must be before until")
    return since_ms, until_ms


def answer(label: Label) -> LabelAnswer:
    """A revision as the API gives it."""
    return LabelAnswer(
        key=label.key,
        revision=label.revision,
        cluster=label.name.cluster,
        node=label.name.node,
        start=format_instant(label.start_ms),
        end=format_instant(label.end_ms),
        attack=label.attack,
        verdict=label.verdict,
        details=label.details,
        author=label.author,
        created=format_instant(label.created_ms),
        withdrawn=label.withdrawn,
        score=None if label.score is None else round(label.score, 6),
        model=label.model_version,
        moment=None if label.moment is None else _moment(label.moment),
    )


def _spoken(said: Said, now_ms: int) -> dict[str, Any]:
    """The fields of a label that somebody has said."""
    return {
        "start_ms": instant("start", said.start, now_ms),
        "end_ms": instant("end", said.end, now_ms),
        "attack": said.verdict in ATTACKS,
        "verdict": said.verdict,
        "details": said.details,
        "author": said.author,
        "created_ms": now_ms,
    }


def _edited(service: Service, key: str, revision: int) -> Label:
    """The revision that is edited, if there is such a one; whether it is the newest, the store says."""
    for label in reversed(service.feedback.history(key).labels):
        if label.revision == revision:
            return label
    raise Conflict(f"label {key}: has no revision {revision}")


def _moment(moment: Moment) -> MomentAnswer:
    shares = moment.contribution or (None,) * len(moment.features)
    columns = zip(moment.features, moment.x, shares, strict=True)
    return MomentAnswer(
        time=format_instant(moment.time_ms),
        features=[FeatureMoment(name=name, value=value, contribution=share) for name, value, share in columns],
    )
