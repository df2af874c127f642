"""The pages of feedback: the form at `/feedback`, the list at `/labels`, and one label at `/label`.

The form comes filled in from an alert's link or a node's anomaly, or bare. What is wrong with it is said above it, with
the status that the API answers, and nothing that was typed is lost; an edit of a revision that no longer holds is shown
what holds now. Times are UTC in RFC 3339; a script only says what they are in the browser's zone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, TypeVar
from urllib.parse import parse_qsl, urlencode

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, ValidationError

from receiver.errors import ConfigurationError, NodescoreError
from receiver.store import Label
from receiver.web import feedback
from receiver.web.feedback import MAX_NAME_CHARACTERS, MAX_TIME_CHARACTERS, Change, NewFeedback, instant
from receiver.web.instants import format_instant, parse_instant_ms
from receiver.web.origin import form_from_here
from receiver.web.protocol import Service
from receiver.web.rendering import environment, page

VERDICTS = {
    "TP": "There was an alert, and it was right: an attack.",
    "FP": "There was an alert, and it was wrong: normal work.",
    "FN": "There was no alert, and there should have been: an attack.",
    "TN": "There was no alert, and rightly so: normal work.",
}
# More than any form of ours has.
MAX_FIELDS = 16
# A page of labels; the newest are shown.
MAX_SHOWN = 500
CHANGED_FIELDS = ("start", "end", "verdict", "details", "author", "revision")
NEW_FIELDS = ("node", "cluster", "start", "end", "verdict", "details", "author")
NO_FIELDS: Mapping[str, str] = MappingProxyType({})
# Of a label's moment: those below add little.
TOP_FEATURES = 8

Said = TypeVar("Said", bound=BaseModel)
Name = Annotated[str, Query(max_length=MAX_NAME_CHARACTERS)]
Time = Annotated[str, Query(max_length=MAX_TIME_CHARACTERS)]


async def fields(request: Request) -> dict[str, str]:
    """The fields of a form that a page of ours has sent."""
    form_from_here(request)
    try:
        text = (await request.body()).decode("ascii")
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict"))
    except ValueError as error:
        raise HTTPException(400, f"the form cannot be read: {error}") from None


def router(service: Service) -> APIRouter:
    """`/feedback`, `/labels` and `/label`."""
    routes = APIRouter(include_in_schema=False)
    made = environment()
    form, listed, one = (made.get_template(f"{name}.html") for name in ("feedback", "labels", "label"))

    def show_form(given: Mapping[str, str], fault: str = "", status: int = 200) -> HTMLResponse:
        return page(form.render(given=given, fault=fault, verdicts=VERDICTS), status)

    def show_label(key: str, given: Mapping[str, str] = NO_FIELDS, fault: str = "", status: int = 200) -> HTMLResponse:
        said = service.feedback.history(key)
        now = said.labels[-1]
        body = one.render(
            label=now,
            history=said.labels,
            source=said.source,
            given={**_given(now), **given, "revision": str(now.revision)},
            fault=fault,
            verdicts=VERDICTS,
            shares=_shares(service, now),
        )
        return page(body, status)

    @routes.get("/feedback")
    def feedback_form(node: Name = "", cluster: Name = "", start: Time = "", end: Time = "") -> HTMLResponse:
        now_ms = service.now_ms()
        times = {"start": _readable(start, now_ms), "end": _readable(end, now_ms)}
        return show_form({"node": node, "cluster": cluster, **times, "verdict": "", "details": "", "author": ""})

    @routes.post("/feedback")
    def give_feedback(given: Annotated[dict[str, str], Depends(fields)]) -> Response:
        given = {name: given.get(name, "") for name in NEW_FIELDS}
        # A field that is left empty names no cluster: the one that has the node.
        return _answered(
            lambda: feedback.add(service, _read(NewFeedback, {**given, "cluster": given["cluster"] or None})),
            lambda fault, status: show_form(given, fault, status),
        )

    @routes.get("/labels")
    def labels(since: Time = "-7d", until: Time = "now", node: Name = "") -> HTMLResponse:
        now_ms = service.now_ms()
        said = service.feedback.labels(instant("since", since, now_ms), instant("until", until, now_ms) + 1)
        found = [label for label in said.labels if node in ("", label.name.node)]
        shown = found[::-1][:MAX_SHOWN]
        query = {"since": since, "until": until, "node": node}
        return page(listed.render(labels=shown, total=len(found), source=said.source, query=query))

    @routes.get("/label")
    def label(key: Annotated[str, Query(pattern=feedback.KEY_PATTERN)]) -> HTMLResponse:
        return show_label(key)

    @routes.post("/label")
    def change_label(
        key: Annotated[str, Query(pattern=feedback.KEY_PATTERN)], given: Annotated[dict[str, str], Depends(fields)]
    ) -> Response:
        withdraws = given.get("action") == "withdraw"
        given = {name: given.get(name, "") for name in CHANGED_FIELDS}

        def change() -> Label:
            said = _read(Change, given)
            if withdraws:
                return feedback.withdraw(service, key, said.revision, said.author)
            return feedback.revise(service, key, said)

        return _answered(change, lambda fault, status: show_label(key, given, fault, status))

    return routes


def _answered(keep: Callable[[], Label], again: Callable[[str, int], HTMLResponse]) -> Response:
    """Go to the label that was kept, or show the form again with what is wrong."""
    try:
        kept = keep()
    except HTTPException as error:
        return again(str(error.detail), error.status_code)
    except NodescoreError as error:
        return again(str(error), 400 if isinstance(error, ConfigurationError) else error.http_status)
    return RedirectResponse("label?" + urlencode({"key": kept.key}), 303)


def _read(model: type[Said], given: Mapping[str, str | None]) -> Said:
    """What the form says; 400 where it cannot be meant."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        faults = "; ".join(f"{fault['loc'][-1]}: {fault['msg']}" for fault in error.errors())
        raise HTTPException(400, faults) from None


def _readable(text: str, now_ms: int) -> str:
    """A time as the form shows it; what is none stays, so that it can be mended."""
    try:
        return format_instant(parse_instant_ms(text, now_ms)) if text else ""
    except ValueError:
        return text


def _given(label: Label) -> dict[str, str]:
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
