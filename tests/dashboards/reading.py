"""The committed dashboards as Grafana would read them: their panels, and their queries with the variables put in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from manifests.grafana.scored import SCORED
from manifests.grafana.written import FOLDER

NAMES = (*(name for of in SCORED for name in (of.overview, of.one)), "service")
PANEL = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """One query of a dashboard."""

    where: str  # dashboard / panel / letter of the query, or the variable or annotation
    text: str
    kind: str  # prometheus, sql, or values: of a label, for a variable
    ranged: bool = False


def load(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return document


def rows(name: str) -> list[PANEL]:
    """The headings between the panels."""
    return [panel for panel in load(name)["panels"] if panel["type"] == "row"]


def panels(name: str) -> Iterator[PANEL]:
    """All panels that draw something, those of closed rows too."""
    for panel in load(name)["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel


def asked(name: str) -> Iterator[Asked]:
    """Every query of a dashboard, as it is written."""
    document = load(name)
    for variable in document["templating"]["list"]:
        if variable["type"] == "query":
            yield Asked(f"{name} / ${variable['name']}", variable["query"], "values")
    for annotation in document["annotations"].get("list") or []:
        yield Asked(f"{name} / {annotation['name']}", annotation["expr"], "prometheus", ranged=True)
    for panel in panels(name):
        for target in panel["targets"]:
            where = f"{name} / {panel['title']} / {target['refId']}"
            if "rawSql" in target:
                yield Asked(where, target["rawSql"], "sql")
            else:
                yield Asked(where, target["expr"], "prometheus", ranged=target["range"])


def filled(text: str, values: Mapping[str, str]) -> str:
    """The text with `$name` and `${name…}` replaced by the values; a KeyError for a variable that is not there."""
    return re.sub(r"\$(?:\{(\w+)(?::\w+)?\}|(\w+))", lambda found: values[found[1] or found[2]], text)
