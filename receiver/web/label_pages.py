"""The pages of feedback: the form at `/feedback`, the list at `/labels`, and one label at `/label`.

The form comes filled in from an alert's link or a node's anomaly, or bare. What is wrong with it is said above it, with
the status that the API answers, and nothing that was typed is lost; an edit of a revision that no longer holds is shown
what holds now. Times are UTC in RFC 3339; a script only says what they are in the browser's zone.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel, Field

from receiver.errors import NotFound
from receiver.store import Label
from receiver.web import feedback
from receiver.web.anomalies import JOIN_MS, anomalies
from receiver.web.author import Author
from receiver.web.feedback import MAX_NAME_CHARACTERS, MAX_TIME_CHARACTERS, Change, NewFeedback, period
from receiver.web.forms import answered, fields, read
from receiver.web.instants import format_instant, parse_instant_ms
from receiver.web.protocol import Service
from receiver.web.rendering import environment, page

VERDICTS = {
    "TP": "There was an alert, and it was right: an attack.",
    "FP": "There was an alert, and it was wrong: normal work.",
    "FN": "There was no alert, and there should have been: an attack.",
    "TN": "There was no alert, and rightly so: normal work.",
}
# A page of labels; the newest are shown.
MAX_SHOWN = 500
CHANGED_FIELDS = ("start", "end", "verdict", "details", "author", "revision")
NEW_FIELDS = ("node", "cluster", "start", "end", "verdict", "details", "author")
NO_FIELDS: Mapping[str, str] = MappingProxyType({})
# Of a label's moment: those below add little.
TOP_FEATURES = 8
# After a label's end: so long an anomaly is followed that it lies in.
REST_MS = 3_600_000

Key = Annotated[str, Query(pattern=feedback.KEY_PATTERN)]
Name = Annotated[str, Query(max_length=MAX_NAME_CHARACTERS)]
Time = Annotated[str, Query(max_length=MAX_TIME_CHARACTERS)]


class Withdrawal(BaseModel):
    """What of the form of a change counts where the label is withdrawn."""

    revision: int = Field(ge=1)
    author: Author


def router(service: Service) -> APIRouter:
    """`/feedback`, `/labels` and `/label`."""
    routes = APIRouter(include_in_schema=False)
    routes.include_router(_giving(service))
    routes.include_router(_given(service))
    return routes


def _giving(service: Service) -> APIRouter:
    """The form for a new label."""
    routes = APIRouter()
    form = environment(service.catalogue.name).get_template("feedback.html")

    def show(given: Mapping[str, str], fault: str = "", status: int = 200) -> HTMLResponse:
        return page(form.render(given=given, fault=fault, verdicts=VERDICTS), status)

    @routes.get("/feedback")
    def feedback_form(node: Name = "", cluster: Name = "", start: Time = "", end: Time = "") -> HTMLResponse:
        now_ms = service.now_ms()
        times = {"start": _readable(start, now_ms), "end": _readable(end, now_ms)}
        return show({"node": node, "cluster": cluster, **times, "verdict": "", "details": "", "author": ""})

    @routes.post("/feedback")
    def give_feedback(given: Annotated[dict[str, str], Depends(fields)]) -> Response:
        given = {name: given.get(name, "") for name in NEW_FIELDS}

        def keep() -> str:
            said = read(NewFeedback, given)
            try:
                return _address(feedback.add(service, said))
            except NotFound:
                if said.cluster:
                    raise
                # Left empty, and no node of this name is outside of all clusters: the one that has it.
                return _address(feedback.add(service, said.model_copy(update={"cluster": None})))

        return answered(keep, lambda fault, status: show(given, fault, status))

    return routes


def _given(service: Service) -> APIRouter:
    """The labels that there are, and the form that changes one."""
    routes = APIRouter()
    made = environment(service.catalogue.name)
    listed, one = made.get_template("labels.html"), made.get_template("label.html")

    def show(key: str, given: Mapping[str, str] = NO_FIELDS, fault: str = "", status: int = 200) -> HTMLResponse:
        said = service.feedback.history(key)
        now = said.labels[-1]
        body = one.render(
            label=now,
            history=said.labels,
            source=said.source,
            given={**_said(now), **given, "revision": str(now.revision)},
            fault=fault,
            verdicts=VERDICTS,
            shares=_shares(service, now),
            rest_ms=_rest_ms(service, now),
        )
        return page(body, status)

    @routes.get("/labels")
    def labels(since: Time = "-7d", until: Time = "now", node: Name = "") -> HTMLResponse:
        now_ms = service.now_ms()
        since_ms, until_ms = period(since, until, now_ms)
        said = service.feedback.labels(since_ms, until_ms + 1)
        found = [label for label in said.labels if node in ("", label.name.node)]
        shown = found[::-1][:MAX_SHOWN]
        query = {"since": since, "until": until, "node": node}
        return page(listed.render(labels=shown, total=len(found), source=said.source, query=query))

    @routes.get("/label")
    def label(key: Key) -> HTMLResponse:
        return show(key)

    @routes.post("/label")
    def change_label(key: Key, given: Annotated[dict[str, str], Depends(fields)]) -> Response:
        withdraws = given.get("action") == "withdraw"
        given = {name: given.get(name, "") for name in CHANGED_FIELDS}

        def change() -> str:
            if withdraws:
                by = read(Withdrawal, given)
                return _address(feedback.withdraw(service, key, by.revision, by.author))
            return _address(feedback.revise(service, key, read(Change, given)))

        return answered(change, lambda fault, status: show(key, given, fault, status))

    return routes


def _address(label: Label) -> str:
    return "label?" + urlencode({"key": label.key})


def _readable(text: str, now_ms: int) -> str:
    """A time as the form shows it; what is none stays, so that it can be mended."""
    try:
        return format_instant(parse_instant_ms(text, now_ms)) if text else ""
    except ValueError:
        return text


def _said(label: Label) -> dict[str, str]:
    return {
        "start": format_instant(label.start_ms),
        "end": format_instant(label.end_ms),
        "verdict": label.verdict or "",
        "details": label.details,
        "author": "",
    }


def _shares(service: Service, label: Label) -> list[tuple[str, float | None, float | None]]:
    """Help, value and contribution of the features that made the score, the largest part first."""
    if label.moment is None:
        return []
    helps = {feature.name: feature.help for feature in service.catalogue.features}
    moment = label.moment
    parts = moment.contribution or (None,) * len(moment.features)
    rows = [
        (helps.get(name, name), value, part) for name, value, part in zip(moment.features, moment.x, parts, strict=True)
    ]
    return sorted(rows, key=lambda row: -(row[2] or 0.0))[:TOP_FEATURES]


def _rest_ms(service: Service, label: Label) -> tuple[int, int] | None:
    """From when to when the anomaly goes on that an attack's label ends in; None where not, or it is labelled."""
    if label.withdrawn or not label.attack:
        return None
    past = service.feedback.past(label.name, label.end_ms - JOIN_MS, label.end_ms + REST_MS)
    after_ms = past.scores.time_ms[past.scores.time_ms > label.end_ms]
    for one in anomalies(past.scores):
        if one.start_ms <= label.end_ms < one.end_ms:
            rest_ms = int(after_ms[0]), one.end_ms
            said = any(other.start_ms <= rest_ms[1] and other.end_ms >= rest_ms[0] for other in past.labels)
            return None if said else rest_ms
    return None
