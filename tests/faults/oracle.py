"""Which rows with which values a store has to hold, from the samples that were acknowledged.

In: samples with their labels. Out: a dict of rows. Written from what receiver/catalogue.py says a feature is, in plain
Python over dicts, and shares nothing with the receiver's aggregation. Costs some 30 µs a row and feature.

A row is a (cluster, node) at a time. It is there when one of its samples has a value; a feature is the value of the
first of its sources that the row has samples for, and is not there when it has none for any.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from receiver.catalogue import Catalogue, Term

Labels = tuple[tuple[str, str], ...]  # sorted by name


class Key(NamedTuple):
    """What there is at most one row of."""

    cluster: str
    node: str
    time_ms: int


# By feature; what is missing is not there.
Values = dict[str, float]
Rows = dict[Key, Values]


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample that was acknowledged."""

    labels: Labels
    time_ms: int
    value: float  # a staleness marker is a NaN


def expected_rows(samples: Iterable[Sample], catalogue: Catalogue) -> Rows:
    """The rows of these samples; a sample that comes twice is one."""
    terms = {}
    entities = {}
    scrapes: dict[Key, dict[Labels, float]] = {}
    for sample in samples:
        if sample.labels not in terms:
            named = dict(sample.labels)
            terms[sample.labels] = _term_of(named, catalogue)
            entities[sample.labels] = (_first(catalogue.cluster_labels, named), _first(catalogue.node_labels, named))
        if terms[sample.labels] is not None and not math.isnan(sample.value):
            scrape = scrapes.setdefault(Key(*entities[sample.labels], sample.time_ms), {})
            scrape[sample.labels] = sample.value
    metrics_of_entity: dict[tuple[str, str], set[str]] = {}
    for labels, term in terms.items():
        if term is not None:
            metrics_of_entity.setdefault(entities[labels], set()).add(term.metric)
    rows = {}
    for key, scrape in scrapes.items():
        by_term: dict[Term, list[float]] = {}
        for labels, value in scrape.items():
            term = terms[labels]
            if term is not None:
                by_term.setdefault(term, []).append(value)
        rows[key] = _features(by_term, metrics_of_entity[key.cluster, key.node], catalogue)
    return rows


def _features(by_term: Mapping[Term, list[float]], metrics: set[str], catalogue: Catalogue) -> Values:
    def total(term: Term) -> float | None:
        if term in by_term:
            return math.fsum(by_term[term])
        return 0.0 if term.absent_is_zero and term.metric in metrics else None

    values = {}
    for feature in catalogue.features:
        for source in feature.sources:
            value = total(catalogue.terms[source.term])
            if value is None:
                continue
            if source.over_term is not None:
                below = total(catalogue.terms[source.over_term])
                value = value / below if below else math.nan
            if not math.isnan(value):
                values[feature.name] = source.scale * value
            break
    return values


def _term_of(labels: Mapping[str, str], catalogue: Catalogue) -> Term | None:
    for term in catalogue.terms:
        if (
            term.metric == labels["__name__"]
            and all(labels.get(name, "") == value for name, value in term.match)
            and not any(pattern.fullmatch(labels.get(name, "")) for name, pattern in term.exclude)
        ):
            return term
    return None


def _first(names: Iterable[str], labels: Mapping[str, str]) -> str:
    return next((labels[name] for name in names if labels.get(name)), "")
