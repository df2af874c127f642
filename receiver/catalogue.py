"""The features as data: which series make which column, and which labels name the node.

In: a TOML text (`node24.toml` is the one that ships). Out: a frozen `Catalogue`. Raises `CatalogueError`, with
every fault of the file in one message. Costs nothing after start: the hot path sees only the tables made here.

A *term* is a sum over the series of one metric that pass its matchers. A *source* is a term, or `scale` × the
quotient of two. A *feature* takes the first of its sources that the target has at all; so a fallback is used
where a metric does not exist, never where it is late.

    name = "node"                      tables are called node_samples, node_scores …
    [entity]
    cluster, node = [LABEL, …]         the first of these that a series has
    target = [LABEL, …]                with the entity: what tells one scrape from another
    replica, replica_set = [LABEL, …]  see `receiver.replicas`: the first is the name of one of a pair; all of the
                                       second are what a pair has in common
    [variables]                        text for ${…} in matchers; settings override it
    [[feature]]
    name, help, unit                   of the column
    kind = "counter" | "gauge"         a counter's model input is its rate per second, a gauge's its value
    input_unit = …                     of the model input, where kind and unit do not say it
    per = FEATURE                      divides the model input by that feature's number of series (CPUs)
    source = [{ metric, match = { LABEL = VALUE }, exclude = { LABEL = REGEX }, over = METRIC, scale,
                absent_is_zero = true: the exporter omits a series whose value is 0 }, …]
"""

from __future__ import annotations

import re
import string
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from receiver.columns import NodeName
from receiver.errors import CatalogueError
from receiver.settings import shipped_catalogue

# Postgres cuts identifiers at 63 bytes; a feature is a column, a catalogue a prefix of table names.
MAX_IDENTIFIER_BYTES = 48

Identifier = Annotated[str, StringConstraints(pattern=rf"^[a-z][a-z0-9_]{{0,{MAX_IDENTIFIER_BYTES - 1}}}$")]
# Columns that stand beside the features in tables and exports.
RESERVED_NAMES = frozenset({"time", "time_ms", "node", "cluster", "attack", "score", "change", "late", "model"})


@dataclass(frozen=True, slots=True)
class Term:
    """A sum over the series of `metric` whose labels equal `match` and do not fully match `exclude`."""

    metric: str
    match: tuple[tuple[str, str], ...]
    exclude: tuple[tuple[str, re.Pattern[str]], ...]
    absent_is_zero: bool

    def takes(self, labels: Mapping[str, str]) -> bool:
        """True where a series of this metric with these labels belongs to the sum."""
        return all(labels.get(name, "") == value for name, value in self.match) and not any(
            pattern.fullmatch(labels.get(name, "")) for name, pattern in self.exclude
        )


@dataclass(frozen=True, slots=True)
class Source:
    """`scale` × the term `over_term`-th of `Catalogue.terms`, or × the quotient of two of them."""

    term: int
    over_term: int | None
    scale: float


@dataclass(frozen=True, slots=True)
class Feature:
    """One column."""

    name: str
    help: str
    unit: str
    input_unit: str
    counter: bool
    per: int | None  # index of the feature whose number of series divides the model input
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class Catalogue:
    """All that the service knows about its features."""

    name: str
    features: tuple[Feature, ...]
    terms: tuple[Term, ...]
    cluster_labels: tuple[str, ...]
    node_labels: tuple[str, ...]
    target_labels: tuple[str, ...]
    replica_labels: tuple[str, ...]
    replica_set_labels: tuple[str, ...]

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """The columns, in order."""
        return tuple(feature.name for feature in self.features)

    @cached_property
    def terms_of_metric(self) -> dict[str, tuple[int, ...]]:
        """The terms that a series of this name may belong to. A name that is not here is not wanted."""
        found: dict[str, tuple[int, ...]] = {}
        for index, term in enumerate(self.terms):
            found[term.metric] = (*found.get(term.metric, ()), index)
        return found

    def term_of(self, labels: Mapping[str, str]) -> int | None:
        """The term that a series belongs to (there is at most one), or None where it is not wanted."""
        for index in self.terms_of_metric.get(labels.get("__name__", ""), ()):
            if self.terms[index].takes(labels):
                return index
        return None

    def entity_of(self, labels: Mapping[str, str]) -> NodeName | None:
        """The node that a series speaks of, or None where no label names one."""
        node = first_of(self.node_labels, labels)
        return NodeName(first_of(self.cluster_labels, labels), node) if node else None

    def target_of(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        """What tells one scrape of a node from another's."""
        return tuple(labels.get(name, "") for name in self.target_labels)

    def replica_of(self, labels: Mapping[str, str]) -> tuple[tuple[str, ...], str]:
        """The set of replicas that a series comes from, and the replica's name; "" where it is none of several."""
        return tuple(labels.get(name, "") for name in self.replica_set_labels), first_of(self.replica_labels, labels)


def first_of(names: tuple[str, ...], labels: Mapping[str, str]) -> str:
    """The first of these labels that is set, or ""."""
    return next((labels[name] for name in names if labels.get(name)), "")


def load(path: Path | None = None, variables: Mapping[str, str] | None = None) -> Catalogue:
    """Read the catalogue at `path`, or the 24 node features, with `variables` over the file's own."""
    path = path or shipped_catalogue("node24")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogueError(f"catalogue {path}: cannot be read: {error}") from error
    return parse(text, str(path), variables)


def parse(text: str, origin: str, variables: Mapping[str, str] | None = None) -> Catalogue:
    """Make a catalogue of a TOML text; `origin` names it in errors."""
    try:
        document = _Document.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise CatalogueError(f"catalogue {origin}: not TOML: {error}") from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise CatalogueError(f"catalogue {origin}: {faults}") from error
    unknown = sorted(set(variables or {}) - set(document.variables))
    if unknown:
        known = ", ".join(sorted(document.variables)) or "none"
        raise CatalogueError(f"catalogue {origin}: no variable {', '.join(unknown)}; it has: {known}")
    return _Builder(document, origin, document.variables | dict(variables or {})).build()


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Source(_Strict):
    metric: str = Field(min_length=1)
    match: dict[str, str] = {}
    exclude: dict[str, str] = {}
    over: str | None = None
    scale: float = 1.0
    absent_is_zero: bool = False


class _Feature(_Strict):
    name: Identifier
    help: str
    unit: str
    kind: Literal["counter", "gauge"]
    input_unit: str | None = None
    per: str | None = None
    source: list[_Source] = Field(min_length=1)


class _Entity(_Strict):
    cluster: list[str]
    node: list[str] = Field(min_length=1)
    target: list[str]
    replica: list[str] = []
    replica_set: list[str] = []


class _Document(_Strict):
    name: Identifier
    entity: _Entity
    variables: dict[str, str] = {}
    feature: list[_Feature] = Field(min_length=1)


class _Builder:
    """Turns names into indices, and collects every fault on the way."""

    def __init__(self, document: _Document, origin: str, variables: Mapping[str, str]) -> None:
        self.document = document
        self.origin = origin
        self.variables = variables
        self.terms: dict[tuple[Any, ...], Term] = {}
        self.faults: list[str] = []

    def build(self) -> Catalogue:
        names = [feature.name for feature in self.document.feature]
        self.faults += [f"feature {n} stands twice" for n in sorted({n for n in names if names.count(n) > 1})]
        self.faults += [f"feature {n}: that name is taken by another column" for n in names if n in RESERVED_NAMES]
        features = tuple(self.feature(feature, names) for feature in self.document.feature)
        self.check_overlaps()
        if self.faults:
            raise CatalogueError(f"catalogue {self.origin}: " + "; ".join(self.faults))
        return Catalogue(
            name=self.document.name,
            features=features,
            terms=tuple(self.terms.values()),
            cluster_labels=tuple(self.document.entity.cluster),
            node_labels=tuple(self.document.entity.node),
            target_labels=tuple(self.document.entity.target),
            replica_labels=tuple(self.document.entity.replica),
            replica_set_labels=tuple(self.document.entity.replica_set),
        )

    def feature(self, spec: _Feature, names: list[str]) -> Feature:
        if spec.per is not None and spec.per not in names:
            self.faults.append(f"feature {spec.name}: per = {spec.per!r} is not a feature")
        counter = spec.kind == "counter"
        if counter and any(source.over for source in spec.source):
            self.faults.append(f"feature {spec.name}: a counter has no quotient (over)")
        return Feature(
            name=spec.name,
            help=spec.help,
            unit=spec.unit,
            input_unit=spec.input_unit or (f"{spec.unit}/s" if counter else spec.unit),
            counter=counter,
            per=names.index(spec.per) if spec.per in names else None,
            sources=tuple(self.source(source, spec.name) for source in spec.source),
        )

    def source(self, spec: _Source, feature: str) -> Source:
        return Source(
            term=self.term(spec, spec.metric, feature),
            over_term=None if spec.over is None else self.term(spec, spec.over, feature),
            scale=spec.scale,
        )

    def term(self, spec: _Source, metric: str, feature: str) -> int:
        match = tuple(sorted((label, self.text(value, feature)) for label, value in spec.match.items()))
        exclude = tuple(sorted((label, self.text(value, feature)) for label, value in spec.exclude.items()))
        key = (metric, match, exclude)
        if key not in self.terms:
            patterns = tuple((label, self.pattern(value, feature)) for label, value in exclude)
            self.terms[key] = Term(metric, match, patterns, spec.absent_is_zero)
        return list(self.terms).index(key)

    def text(self, template: str, feature: str) -> str:
        try:
            return string.Template(template).substitute(self.variables)
        except (KeyError, ValueError) as error:
            self.faults.append(f"feature {feature}: {template!r}: no variable {error}")
            return template

    def pattern(self, regex: str, feature: str) -> re.Pattern[str]:
        try:
            return re.compile(regex)
        except re.error as error:
            self.faults.append(f"feature {feature}: {regex!r} is no regular expression: {error}")
            return re.compile("")

    def check_overlaps(self) -> None:
        """A series belongs to one term: two terms of one metric must ask one label for different values."""
        terms = list(self.terms.values())
        for index, one in enumerate(terms):
            for other in terms[index + 1 :]:
                mine, theirs = dict(one.match), dict(other.match)
                apart = any(mine[label] != theirs[label] for label in mine.keys() & theirs.keys())
                if one.metric == other.metric and not apart:
                    self.faults.append(f"two sources of {one.metric} may take the same series")
