"""The pages of the model: its versions at `/models`, and the forms behind `/activate` and `/rollback`.

A version stands there with what it was trained on, what the gate said of it, and what feedback has changed. Nothing is
changed by one click: a form says what will happen, and wants a name. It names the log's last entry, and is shown again
where somebody has activated another version meanwhile. One that the gate has refused is activated only where the
operator ticks that this is meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, HTTPException, Query
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from receiver import registry
from receiver.errors import Conflict
from receiver.registry import State
from receiver.store import Activation, ModelVersion
from receiver.store.models import MAX_NAME_CHARACTERS, MAX_REASON_CHARACTERS
from receiver.web import measures
from receiver.web.author import Author
from receiver.web.forms import answered, fields, read
from receiver.web.measures import Compared, Measured
from receiver.web.protocol import Service
from receiver.web.rendering import environment, page

# Side by side: what a page is wide enough for.
COLUMNS = 5
# Entries of the log that are shown.
MAX_LOG = 50
FIELDS = ("by", "reason", "last", "despite")

Version = Annotated[str, Query(max_length=MAX_NAME_CHARACTERS)]
Given = Annotated[dict[str, str], Depends(fields)]


class Confirmed(BaseModel):
    """What the form of an activation or a roll-back says."""

    model_config = ConfigDict(extra="forbid")

    by: Author
    reason: str = Field(max_length=MAX_REASON_CHARACTERS)
    last: int = Field(ge=0)  # the log's last entry as the form knew it; 0 where there was none
    despite: Literal["", "yes"]  # the gate's refusal


@dataclass(frozen=True, slots=True)
class Shown:
    """A version as the pages show it."""

    version: ModelVersion
    state: State
    measured: Measured

    @property
    def refused(self) -> bool:
        """Whether the gate said no."""
        return self.measured.verdict is not None and not self.measured.verdict.promote


@dataclass(frozen=True, slots=True)
class Versions:
    """All of them, the one added last first, and the log of which was active."""

    shown: list[Shown]
    log: list[Activation]  # the last entry first

    @property
    def active(self) -> str:
        """The version that the log names; "" where there is none."""
        return self.log[0].version if self.log else ""

    @property
    def last(self) -> int:
        """The id of the log's last entry; 0 where there is none."""
        return self.log[0].id if self.log else 0

    @property
    def previous(self) -> str:
        """The version that rolling back goes to; "" where there is none."""
        return registry.previous(self.log[::-1], {one.version.version for one in self.shown})

    def found(self, version: str) -> Shown:
        """The one of this name; 404 where there is none."""
        for one in self.shown:
            if one.version.version == version:
                return one
        raise HTTPException(404, f"there is no model {version!r}")


def router(service: Service) -> APIRouter:
    """`/models`, `/activate` and `/rollback`."""
    routes = APIRouter(include_in_schema=False)
    made = environment(service.catalogue.name)
    listed, form = made.get_template("models.html"), made.get_template("change_model.html")

    def show(back: bool, target: str, given: Mapping[str, str], fault: str = "", status: int = 200) -> HTMLResponse:
        versions = _versions(service)
        if back and not versions.previous:
            raise HTTPException(404, "there is no version to roll back to")
        to = versions.found(versions.previous if back else target)
        given = {**dict.fromkeys(FIELDS, ""), **given, "last": str(versions.last)}
        return page(form.render(to=to, back=back, active=versions.active, given=given, fault=fault), status)

    def sent(back: bool, target: str, given: Mapping[str, str]) -> Response:
        return answered(
            lambda: _changed(service, back, target, given),
            lambda fault, status: show(back, target, given, fault, status),
        )

    @routes.get("/models")
    def models() -> HTMLResponse:
        versions = _versions(service)
        return page(
            listed.render(
                versions=versions,
                scoring=service.exposition.snapshot.model_version,
                beside=beside(versions.shown),
                max_log=MAX_LOG,
            )
        )

    @routes.get("/activate")
    def confirm_activation(version: Version) -> HTMLResponse:
        return show(False, version, {})

    @routes.post("/activate")
    def activate(version: Version, given: Given) -> Response:
        return sent(False, version, given)

    @routes.get("/rollback")
    def confirm_rollback() -> HTMLResponse:
        return show(True, "", {})

    @routes.post("/rollback")
    def roll_back(given: Given) -> Response:
        return sent(True, "", given)

    return routes


def _changed(service: Service, back: bool, version: str, given: Mapping[str, str]) -> str:
    """Do what the form says; where to go then."""
    said = read(Confirmed, {name: given.get(name, "") for name in FIELDS})
    versions = _versions(service)
    if versions.log and said.last != versions.last:
        raise Conflict(f"meanwhile {versions.log[0].by} has activated {versions.active}: look again")
    if back:
        service.roll_back_model(said.by, said.reason, versions.last)
    elif versions.found(version).refused and not said.despite:
        raise HTTPException(400, "the gate has refused this version; tick the box if you mean it")
    else:
        service.activate_model(version, said.by, said.reason, versions.last)
    return "models"


def beside(shown: list[Shown]) -> tuple[list[Shown], dict[str, list[Compared | None]]]:
    """The newest versions that were compared, and each measure's figures of them, in their order."""
    columns = [one for one in shown if one.measured.verdict and one.measured.verdict.compared][:COLUMNS]
    figures = [
        {each.measure: each for each in one.measured.verdict.compared} for one in columns if one.measured.verdict
    ]
    names = dict.fromkeys(name for of in figures for name in of)
    return columns, {name: [of.get(name) for of in figures] for name in names}


def _versions(service: Service) -> Versions:
    shown = [Shown(version, state, measures.read(version.measures)) for version, state in service.models()]
    return Versions(shown[::-1], service.activations()[::-1])
