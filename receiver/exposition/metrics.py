"""The service's own metrics, `nodescore_…`: one attribute each, every labelled child there from the start."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from receiver.wire import Fault

# From a request of one series (0.1 ms) to the 30 s after which Prometheus gives up.
REQUEST_BUCKETS_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30)
# From one row to a backlog of 100,000 rows.
FLUSH_BUCKETS_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)

Protocol = Literal["v1", "v2", "unknown"]
# All statuses of the remote-write endpoint; others would be a mistake of ours and count as 500.
StatusCode = Literal[202, 204, 400, 401, 403, 405, 413, 415, 500, 503]
# Why the HTTP side ended a connection itself.
Dropped = Literal["header_timeout", "body_timeout", "answer_timeout", "malformed", "size", "room", "tls"]
# Why a request was not let in: 401, 403, or 503 because too many passwords wait to be checked.
AccessRefused = Literal["credentials", "role", "busy"]
RowKind = Literal["complete", "incomplete", "remade", "filled"]
# Why a row was no longer held for a sample that it lacks: an hour is over, max_open_samples, or max_disk_bytes.
GivenUp = Literal["age", "room", "disk"]


class _Families:
    """Makes metrics in a registry, by their names without the prefix."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"nodescore_{name}", text, labels, registry=self._registry)

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"nodescore_{name}", text, labels, registry=self._registry)

    def histogram(self, name: str, text: str, buckets_seconds: Sequence[float]) -> Histogram:
        return Histogram(f"nodescore_{name}", text, buckets=buckets_seconds, registry=self._registry)

    def by(self, name: str, text: str, label: str, values: Iterable[str]) -> dict[str, Counter]:
        """A counter for each value of a label."""
        family = self.counter(name, text, label)
        return {value: family.labels(value) for value in values}


class Metrics:
    """The service's own metrics, one attribute each; every labelled child exists from the start, at 0.

    Those with one label are dicts by its values, so that a new label value is a KeyError here and a changed
    `Literal` above, never a new series by accident.
    """

    def __init__(self, registry: CollectorRegistry, version: str) -> None:
        make = _Families(registry)
        self._of_requests(make)
        self._of_samples(make)
        self._of_rows(make)
        self._of_the_store(make)
        self._of_models(make)
        build = make.gauge("build_info", "Always 1.", "version", "python")
        build.labels(version, platform.python_version()).set(1)

    def _of_requests(self, make: _Families) -> None:
        requests = make.counter("requests", "Remote-write requests answered.", "version", "code")
        self._requests: dict[tuple[str, int], Counter] = {
            (protocol, code): requests.labels(protocol, code)
            for protocol in get_args(Protocol)
            for code in get_args(StatusCode)
        }
        self.request_seconds = make.histogram(
            "request_duration_seconds",
            "Time from the last byte of a remote-write request to its answer.",
            REQUEST_BUCKETS_SECONDS,
        )
        self.connections = make.gauge("connections", "HTTP connections that are open.")
        self.connections_dropped = make.by(
            "connections_dropped",
            "Connections ended for too little (timeouts), too much (size), no TLS, or to make room for others.",
            "reason",
            get_args(Dropped),
        )
        self.access_refused = make.by(
            "access_refused",
            "Requests that were not let in: wrong or no credentials, a role that is not granted, or too many to check.",
            "reason",
            get_args(AccessRefused),
        )
        self.web_config_failures = make.counter(
            "web_config_failures", "Web configurations refused while running; what held before still does."
        )
        self.received_bytes = make.counter("received_bytes", "Compressed bytes of remote-write bodies.")

    def _of_samples(self, make: _Families) -> None:
        self.samples_received = make.counter("samples_received", "Samples in valid requests, wanted or not.")
        self.samples_kept = make.counter("samples_kept", "Samples of features: journalled and made into rows.")
        self.samples_unwanted = make.counter("samples_unwanted", "Samples of series that the catalogue does not want.")
        self.samples_duplicate = make.counter(
            "samples_duplicate", "Samples of a pair's other replica: acknowledged, not kept."
        )
        self.fail_overs = make.counter("replica_fail_overs", "Times that another replica of a pair was elected.")
        self.replica_elected = make.gauge(
            "replica_elected", "1 for the replica of a pair that is listened to.", "replica_set", "replica"
        )
        self.invalid = make.by(
            "invalid", "Series, or samples of kept series, refused with 400.", "reason", get_args(Fault)
        )
        self.histograms_received = make.counter("histograms_received", "Native histograms: accepted, not used.")
        self.exemplars_received = make.counter("exemplars_received", "Exemplars: accepted, not used.")
        self.series = make.gauge("series", "Kept series known.")
        self.nodes = make.gauge("nodes", "Nodes known.")

    def _of_rows(self, make: _Families) -> None:
        self.rows = make.by("rows", "Rows that left assembly.", "kind", get_args(RowKind))
        self.rows_given_up = make.by(
            "rows_given_up",
            "Rows that lack a sample and are no longer held for it: what comes now only fills whole features.",
            "reason",
            get_args(GivenUp),
        )
        self.open_rows = make.gauge("open_rows", "Rows that wait for samples.")
        self.open_samples = make.gauge(
            "open_samples", "Samples of rows that are open or held, as max_open_samples counts them."
        )
        self.flush_seconds = make.histogram(
            "flush_duration_seconds", "Time of one flush: rows, features, scores, store.", FLUSH_BUCKETS_SECONDS
        )
        self.scoring_seconds = make.histogram(
            "scoring_duration_seconds", "Time of one batch in the detector.", FLUSH_BUCKETS_SECONDS
        )
        self.rows_scored = make.counter("rows_scored", "Rows that passed through the detector.")
        self.feature_drift = make.gauge(
            "feature_drift",
            "Population stability index of a feature: rows of the last hours against the model's training rows.",
            "feature",
        )

    def _of_the_store(self, make: _Families) -> None:
        self.journal_bytes = make.gauge(
            "journal_bytes", "Size of the journal: what is not yet in rows, and what a restart rebuilds from."
        )
        self.journal_records = make.gauge(
            "journal_records", "Records of the journal: not yet in rows, or kept to rebuild from."
        )
        self.journal_damaged = make.counter(
            "store_damaged_parts", "What the start found damaged or missing in the embedded file; the log names each."
        )
        self.store_bytes = make.gauge("store_bytes", "Size of the embedded store's file.")
        self.disk_budget_bytes = make.gauge(
            "disk_budget_bytes", "What the embedded store's file may have: max_disk_bytes."
        )
        self.disk_free_bytes = make.gauge("disk_free_bytes", "Free space on the file system of the data folder.")
        self.outbox_rows = make.gauge("outbox_rows", "Rows that wait for TimescaleDB.")
        self.outbox_age_seconds = make.gauge("outbox_oldest_row_age_seconds", "Age of the oldest row in the outbox.")
        self.outbox_success = make.gauge(
            "outbox_last_success_timestamp_seconds", "When TimescaleDB last took rows; 0 before it did."
        )

    def _of_models(self, make: _Families) -> None:
        shadow_rows = make.counter(
            "shadow_rows",
            "Rows that the active model and the one in its shadow have scored over the threshold, or under it.",
            "active",
            "shadow",
        )
        sides = {False: "under", True: "over"}
        self.shadow_rows: dict[tuple[bool, bool], Counter] = {
            (active, shadow): shadow_rows.labels(sides[active], sides[shadow]) for active in sides for shadow in sides
        }
        self.shadow_failures = make.counter("shadow_failures", "Candidates in the shadow that were given up.")
        self.model_changes = make.counter("model_changes", "Times that another model has taken over while running.")
        self.model_load_failures = make.counter("model_load_failures", "Models refused; the one before stayed active.")
        self.retrainings = make.by(
            "retrainings", "Trainings of a new model, started by the service.", "outcome", ("done", "failed")
        )

    def count_request(self, protocol: Protocol, code: int) -> None:
        """One answered remote-write request."""
        (self._requests.get((protocol, code)) or self._requests[protocol, 500]).inc()
