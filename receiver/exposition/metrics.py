"""The service's own metrics, `nodescore_…`: one attribute each, every labelled child there from the start."""

from __future__ import annotations

import platform
from collections.abc import Iterable
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


class Metrics:
    """The service's own metrics, one attribute each; every labelled child exists from the start, at 0.

    Those with one label are dicts by its values, so that a new label value is a KeyError here and a changed
    `Literal` above, never a new series by accident.
    """

    def __init__(self, registry: CollectorRegistry, version: str) -> None:
        def counter(name: str, text: str) -> Counter:
            return Counter(f"nodescore_{name}", text, registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"nodescore_{name}", text, registry=registry)

        def by(name: str, text: str, label: str, values: Iterable[str]) -> dict[str, Counter]:
            family = Counter(f"nodescore_{name}", text, [label], registry=registry)
            return {value: family.labels(value) for value in values}

        requests = Counter(
            "nodescore_requests", "Remote-write requests answered.", ["version", "code"], registry=registry
        )
        self._requests: dict[tuple[str, int], Counter] = {
            (protocol, code): requests.labels(protocol, code)
            for protocol in get_args(Protocol)
            for code in get_args(StatusCode)
        }
        self.request_seconds = Histogram(
            "nodescore_request_duration_seconds",
            "Time from the last byte of a remote-write request to its answer.",
            buckets=REQUEST_BUCKETS_SECONDS,
            registry=registry,
        )
        self.connections = gauge("connections", "HTTP connections that are open.")
        self.connections_dropped = by(
            "connections_dropped",
            "Connections ended for too little (timeouts), too much (size), no TLS, or to make room for others.",
            "reason",
            get_args(Dropped),
        )
        self.access_refused = by(
            "access_refused",
            "Requests that were not let in: wrong or no credentials, a role that is not granted, or too many to check.",
            "reason",
            get_args(AccessRefused),
        )
        self.web_config_failures = counter(
            "web_config_failures", "Web configurations refused while running; what held before still does."
        )
        self.received_bytes = counter("received_bytes", "Compressed bytes of remote-write bodies.")
        self.samples_received = counter("samples_received", "Samples in valid requests, wanted or not.")
        self.samples_kept = counter("samples_kept", "Samples of features: journalled and made into rows.")
        self.samples_unwanted = counter("samples_unwanted", "Samples of series that the catalogue does not want.")
        self.samples_duplicate = counter(
            "samples_duplicate", "Samples of a pair's other replica: acknowledged, not kept."
        )
        self.fail_overs = counter("replica_fail_overs", "Times that another replica of a pair was elected.")
        self.replica_elected = Gauge(
            "nodescore_replica_elected",
            "1 for the replica of a pair that is listened to.",
            ["replica_set", "replica"],
            registry=registry,
        )
        self.invalid = by("invalid", "Series, or samples of kept series, refused with 400.", "reason", get_args(Fault))
        self.histograms_received = counter("histograms_received", "Native histograms: accepted, not used.")
        self.exemplars_received = counter("exemplars_received", "Exemplars: accepted, not used.")
        self.series = gauge("series", "Kept series known.")
        self.nodes = gauge("nodes", "Nodes known.")
        self.rows = by("rows", "Rows that left assembly.", "kind", get_args(RowKind))
        self.rows_given_up = by(
            "rows_given_up",
            "Rows that lack a sample and are no longer held for it: what comes now only fills whole features.",
            "reason",
            get_args(GivenUp),
        )
        self.open_rows = gauge("open_rows", "Rows that wait for samples.")
        self.open_samples = gauge(
            "open_samples", "Samples of rows that are open or held, as max_open_samples counts them."
        )
        self.flush_seconds = Histogram(
            "nodescore_flush_duration_seconds",
            "Time of one flush: rows, features, scores, store.",
            buckets=FLUSH_BUCKETS_SECONDS,
            registry=registry,
        )
        self.scoring_seconds = Histogram(
            "nodescore_scoring_duration_seconds",
            "Time of one batch in the detector.",
            buckets=FLUSH_BUCKETS_SECONDS,
            registry=registry,
        )
        self.rows_scored = counter("rows_scored", "Rows that passed through the detector.")
        self.feature_drift = Gauge(
            "nodescore_feature_drift",
            "Population stability index of a feature: rows of the last hours against the model's training rows.",
            ["feature"],
            registry=registry,
        )
        self.journal_bytes = gauge(
            "journal_bytes", "Size of the journal: what is not yet in rows, and what a restart rebuilds from."
        )
        self.journal_records = gauge(
            "journal_records", "Records of the journal: not yet in rows, or kept to rebuild from."
        )
        self.journal_damaged = counter(
            "store_damaged_parts", "What the start found damaged or missing in the embedded file; the log names each."
        )
        self.store_bytes = gauge("store_bytes", "Size of the embedded store's file.")
        self.disk_budget_bytes = gauge("disk_budget_bytes", "What the embedded store's file may have: max_disk_bytes.")
        self.disk_free_bytes = gauge("disk_free_bytes", "Free space on the file system of the data folder.")
        self.outbox_rows = gauge("outbox_rows", "Rows that wait for TimescaleDB.")
        self.outbox_age_seconds = gauge("outbox_oldest_row_age_seconds", "Age of the oldest row in the outbox.")
        self.outbox_success = gauge(
            "outbox_last_success_timestamp_seconds", "When TimescaleDB last took rows; 0 before it did."
        )
        shadow_rows = Counter(
            "nodescore_shadow_rows",
            "Rows that the active model and the one in its shadow have scored over the threshold, or under it.",
            ["active", "shadow"],
            registry=registry,
        )
        sides = {False: "under", True: "over"}
        self.shadow_rows: dict[tuple[bool, bool], Counter] = {
            (active, shadow): shadow_rows.labels(sides[active], sides[shadow]) for active in sides for shadow in sides
        }
        self.shadow_failures = counter("shadow_failures", "Candidates in the shadow that were given up.")
        self.model_changes = counter("model_changes", "Times that another model has taken over while running.")
        self.model_load_failures = counter("model_load_failures", "Models refused; the one before stayed active.")
        self.retrainings = by(
            "retrainings", "Trainings of a new model, started by the service.", "outcome", ("done", "failed")
        )
        build = Gauge("nodescore_build_info", "Always 1.", ["version", "python"], registry=registry)
        build.labels(version, platform.python_version()).set(1)

    def count_request(self, protocol: Protocol, code: int) -> None:
        """One answered remote-write request."""
        (self._requests.get((protocol, code)) or self._requests[protocol, 500]).inc()
