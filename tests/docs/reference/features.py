"""Every feature of the catalogues that ship, and the PromQL of its raw value."""

from __future__ import annotations

from receiver import catalogue
from receiver.catalogue import Feature
from receiver.promql import expressions
from receiver.settings import shipped_catalogue
from tests.docs.reference.markdown import code, table

HEAD = """\
# Features

What a node's score is made of: the 24 features of `receiver/node24.toml`. A row is stored with the raw values, as they
were scraped; the detector sees the inputs: the rate of a counter, the value of a gauge, either divided by the number of
CPUs where that makes small and large nodes alike.

The catalogues `application` and `pod` are [below](#applications-and-pods). A TOML file of your own can take the place
of these (setting `catalogue`); `nodescore relabel` makes the relabel rules of it.

"""
EXPRESSIONS = """
## In PromQL

Asked at the time of a scrape, each gives what the stored row of that scrape holds, one series for each target.

"""
APPLICATION = shipped_catalogue("application")
APPLICATIONS = """
## Applications and pods

What the score of an [application or a pod](../applications.md) is made of: the features of `receiver/application.toml`
and `receiver/pod.toml`, each a series that recording rules make. The series of pods are called `pod:`, not
`application:`.

"""


def page() -> str:
    """What each feature is, and how Prometheus itself would compute it."""
    wanted = catalogue.load()
    promql = expressions(wanted)
    meanings = ([code(one.name), one.help, _raw(one), one.input_unit] for one in wanted.features)
    return "".join(
        [
            HEAD,
            table(["feature", "meaning", "raw", "input"], meanings),
            EXPRESSIONS,
            table(["feature", "expression"], ([code(name), code(text)] for name, text in promql.items())),
            APPLICATIONS,
            table(["feature", "meaning", "unit", "series"], map(_recorded, catalogue.load(APPLICATION).features)),
        ]
    )


def _recorded(feature: Feature) -> list[str]:
    (source,) = feature.sources
    metric = catalogue.load(APPLICATION).terms[source.term].metric
    return [code(feature.name), feature.help, feature.unit, code(metric)]


def _raw(feature: Feature) -> str:
    return f"{feature.unit}, total" if feature.counter else feature.unit
