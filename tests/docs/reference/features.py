"""Every feature of the catalogue that ships, and the PromQL of its raw value."""

from __future__ import annotations

from receiver import catalogue
from receiver.catalogue import Feature
from receiver.promql import expressions
from tests.docs.reference.markdown import code, table

HEAD = """\
# Features

What a node's score is made of: the 24 features of `receiver/node24.toml`. A row is stored with the raw values, as they
were scraped; the detector sees the inputs: the rate of a counter, the value of a gauge, either divided by the number of
CPUs where that makes small and large nodes alike.

Another catalogue can take the place of this one (setting `catalogue`); `nodescore relabel --config` makes the relabel
rules of it.

"""
EXPRESSIONS = """
## In PromQL

Asked at the time of a scrape, each gives what the stored row of that scrape holds, one series for each target.

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
        ]
    )


def _raw(feature: Feature) -> str:
    return f"{feature.unit}, total" if feature.counter else feature.unit
