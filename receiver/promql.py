"""The catalogue in Prometheus's own words: queries of the raw values, relabel rules, a configuration to paste.

In: a `Catalogue`. Out: text. Raises nothing. Runs in a command or a test, never on the hot path.

Patterns of the catalogue are passed on as they are: Python and Prometheus (RE2) both match them against the whole
value, and they must keep to what both know, so no look-ahead and no back-reference.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from receiver.catalogue import Catalogue, Feature, Source, Term

SEPARATOR = ";"  # what Prometheus puts between the values of `source_labels`
# Scrapes arrive within about a second of being made; with Prometheus's default of 5 s a row would wait that long.
BATCH_SEND_DEADLINE = "1s"


def expressions(catalogue: Catalogue, selector: str = "", window: str = "") -> dict[str, str]:
    """For each feature the PromQL of its raw value, one series per target.

    `selector` holds further matchers, like `node="a"`. At the timestamp of a scrape an expression gives what the
    stored row of that scrape holds. With a `window`, like `5m`, a counter gives its rate a second over it instead.
    """
    return {feature.name: _feature(catalogue, feature, selector, window) for feature in catalogue.features}


def _feature(catalogue: Catalogue, feature: Feature, selector: str, window: str) -> str:
    """The first source that there is."""
    window = window if feature.counter else ""
    return " or ".join(_source(catalogue, source, selector, window) for source in feature.sources)


def _source(catalogue: Catalogue, source: Source, selector: str, window: str) -> str:
    scale = "" if source.scale == 1 else f"{source.scale!r} * "
    over = "" if source.over_term is None else f" / {_sum(catalogue, source.over_term, selector, window)}"
    text = f"{scale}{_sum(catalogue, source.term, selector, window)}{over}"
    return f"({text})" if scale or over else text


def _sum(catalogue: Catalogue, index: int, selector: str, window: str) -> str:
    term = catalogue.terms[index]
    by = ", ".join(dict.fromkeys((*catalogue.cluster_labels, *catalogue.node_labels, *catalogue.target_labels)))
    excluded = [f"{label}!~{_quoted(pattern.pattern)}" for label, pattern in term.exclude]
    rest = [*excluded, *([selector] if selector else [])]
    matched = [f"{label}={_quoted(value)}" for label, value in term.match]
    series = f"{term.metric}{{{', '.join(matched + rest)}}}"
    total = f"sum by ({by}) ({f'rate({series}[{window}])' if window else series})"
    if not term.absent_is_zero:
        return total
    # The exporter has the metric, and leaves out the value that is 0.
    return f"({total} or 0 * count by ({by}) ({term.metric}{{{', '.join(rest)}}}))"


@dataclass(frozen=True, slots=True)
class RelabelRule:
    """One entry of `write_relabel_configs`, with Prometheus's defaults for what is not here."""

    source_labels: tuple[str, ...]
    regex: str
    action: str


def write_relabel_configs(catalogue: Catalogue) -> list[RelabelRule]:
    """Rules that send just the series that `Catalogue.term_of` takes.

    A wanted series is always sent. One that is not wanted can slip through where a label's value holds a `;`,
    which looks like the next label's value; the service leaves it out then.
    """
    return [_keep(catalogue.terms), *_drops(catalogue.terms)]


def _keep(terms: Iterable[Term]) -> RelabelRule:
    labels = sorted({label for term in terms for label, _ in term.match})
    metrics_of: dict[tuple[str, ...], list[str]] = {}
    for term in terms:
        wanted = dict(term.match)
        cells = [re.escape(wanted[label]) if label in wanted else ".*" for label in labels]
        while cells[-2:] == [".*", ".*"]:  # "whatever follows" says it for all that follow
            cells.pop()
        metrics_of.setdefault(tuple(cells), []).append(term.metric)
    alternatives = [SEPARATOR.join((_any(metrics), *tail)) for tail, metrics in metrics_of.items()]
    return RelabelRule(("__name__", *labels), "|".join(alternatives), "keep")


def _drops(terms: Iterable[Term]) -> Iterator[RelabelRule]:
    metrics_of: dict[tuple[tuple[tuple[str, str], ...], str, str], list[str]] = {}
    for term in terms:
        for label, pattern in term.exclude:
            metrics_of.setdefault((term.match, label, pattern.pattern), []).append(term.metric)
    for (match, excluded, regex), metrics in metrics_of.items():
        values = [re.escape(value) for _, value in match]
        labels = ("__name__", *(name for name, _ in match), excluded)
        yield RelabelRule(labels, SEPARATOR.join((_any(metrics), *values, f"(?:{regex})")), "drop")


def _any(metrics: Iterable[str]) -> str:
    names = [re.escape(metric) for metric in dict.fromkeys(metrics)]
    return names[0] if len(names) == 1 else f"(?:{'|'.join(names)})"


def _quoted(text: str) -> str:
    """A string of PromQL, which knows JSON's escapes; and YAML does too."""
    return json.dumps(text, ensure_ascii=False)


SNIPPET = """\
# What Prometheus needs to send to Nodescore and to scrape its scores. Merge it into prometheus.yml.
# Made by `nodescore relabel` from the catalogue "{name}"; make it anew when the catalogue changes.
#
# Series name their {name} by the first of these labels that they have: {node_labels}.
{naming}# Where several clusters send, name each:
#   global:
#     external_labels: {{{cluster_label}: NAME}}

remote_write:
  - name: {service}
    url: {url}
    protobuf_message: io.prometheus.write.v2.Request  # Prometheus older than 2.54: leave this line out
    metadata_config: {{send: false}}
    queue_config: {{batch_send_deadline: {deadline}}}
    write_relabel_configs:
{rules}
scrape_configs:
  - job_name: {service}
    honor_labels: true  # or the {name}'s own labels would become exported_{node_label}
    scheme: {scheme}
    # Scrape Nodescore as often as there are rows: then every row's score is seen once.
    static_configs: [{{targets: [{target}]}}]
"""

# Of catalogues whose series are scraped; others are recorded by rules, which name them.
NAMING = """\
# In Kubernetes, set the first where node_exporter is scraped:
#   relabel_configs:
#     - source_labels: [__meta_kubernetes_pod_node_name]
#       target_label: {node_label}
# and leave `instance` as it is: it tells one scrape from another.
"""

RULE = """\
      - source_labels: [{labels}]
        regex: {regex}
        action: {action}
"""


def service_name(scored: str) -> str:
    """What Prometheus calls the service of a catalogue, by its name: it may have several, and refuses equal ones."""
    return "nodescore" if scored == "node" else f"nodescore-{scored}s"


def prometheus_snippet(catalogue: Catalogue, url: str = "http://127.0.0.1:9201/api/v1/write") -> str:
    """YAML with one `remote_write` to `url` and the scrape job of the same service."""
    rules = [
        RULE.format(
            labels=", ".join(rule.source_labels), regex=_folded(_quoted(rule.regex), catalogue), action=rule.action
        )
        for rule in write_relabel_configs(catalogue)
    ]
    address = urlsplit(url)
    return SNIPPET.format(
        name=catalogue.name,
        service=service_name(catalogue.name),
        node_labels=", ".join(catalogue.node_labels),
        naming=NAMING.format(node_label=catalogue.node_labels[0]) if catalogue.target_labels else "",
        node_label=catalogue.node_labels[0],
        cluster_label=catalogue.cluster_labels[0] if catalogue.cluster_labels else "cluster",
        url=_quoted(url),
        deadline=BATCH_SEND_DEADLINE,
        rules="".join(rules),
        scheme=address.scheme,
        target=_quoted(address.netloc),
    )


def _folded(quoted: str, catalogue: Catalogue) -> str:
    """The same YAML string with a line for each metric: a changed catalogue then shows as changed lines."""
    metrics = "|".join(re.escape(metric) for metric in catalogue.terms_of_metric)
    return re.sub(rf"\|(?=(?:{metrics})\b)", r"|\\\n          ", quoted)
