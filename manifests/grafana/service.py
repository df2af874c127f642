"""The dashboard of the service: whether samples come in, become rows and scores, and are kept."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from manifests.grafana.frame import Panels, frame, section, values_of
from manifests.grafana.own_metrics import OF, each, events, quantiles, rate
from manifests.grafana.panels import NONE_IS_GOOD, Column, Query, bars, graph, number, rows


def dashboard() -> Dashboard:
    """The whole of it."""
    built = frame(
        "nodescore-service",
        "Nodescore / Service",
        "Whether samples come in, become rows and scores, and are kept; which model scores, and what it costs.",
        "now-3h",
    )
    built.with_variable(values_of("job", "Job", "label_values(nodescore_build_info, job)", several=True))
    built.with_variable(
        values_of("instance", "Instance", 'label_values(nodescore_build_info{job=~"$job"}, instance)', several=True)
    )
    section(built, _numbers())
    section(built, _senders(), "Senders")
    section(built, _scoring(), "Rows and scores")
    section(built, _keeping(), "Journal and store")
    section(built, _model(), "Model")
    section(built, _process(), "Process")
    return built


def _numbers() -> Panels:
    return [
        number(
            "Instances up",
            "Instances whose last scrape succeeded.",
            Query(f"sum(up{OF})", "up"),
            "short",
            colors={None: "red", 1: "green"},
            none="none",
        ),
        number(
            "Version",
            "Of the service.",
            Query(f"max by (version) (nodescore_build_info{OF})", "{{version}}"),
            "short",
            named=True,
        ),
        number(
            "Nodes",
            "Nodes known to the instances that are chosen; applications or pods where these are scored.",
            Query(f"sum(nodescore_nodes{OF})", "nodes"),
            "short",
        ),
        number(
            "Samples",
            "Samples received a second, wanted or not.",
            Query(rate("nodescore_samples_received_total"), "samples"),
            "cps",
        ),
        number(
            "Rows scored",
            "Rows that passed through the detector, a second.",
            Query(rate("nodescore_rows_scored_total"), "rows"),
            "cps",
        ),
        number(
            "Alerts firing",
            "Alerts on the service itself.",
            Query('count(ALERTS{alertname=~"Nodescore.+",alertstate="firing"}) or vector(0)', "alerts"),
            "short",
            colors=NONE_IS_GOOD,
        ),
    ]


def _senders() -> Panels:
    return [
        graph(
            "What becomes of samples",
            "Samples a second: kept, since a feature is made of them; not wanted, which good relabel rules "
            "would not send; or of the replica of a pair that is not listened to.",
            [
                Query(rate("nodescore_samples_kept_total"), "kept"),
                Query(rate("nodescore_samples_unwanted_total"), "not wanted"),
                Query(rate("nodescore_samples_duplicate_total"), "of the other replica"),
            ],
            "cps",
            stacked=True,
        ),
        graph(
            "Answers",
            "Remote-write requests by their answer. 204: on disk; 202: of the other replica of a pair; 4xx: lost, the "
            "sender's log says why; 503: the sender tries again.",
            [Query(f"{rate('nodescore_requests_total', 'code')} > 0", "{{code}}")],
            "reqps",
            stacked=True,
        ),
        graph(
            "Time to the answer",
            "From the last byte of a request to its answer, the disk's sync included.",
            quantiles("nodescore_request_duration_seconds"),
            "s",
        ),
        graph(
            "Refused",
            "Series and samples that were refused with 400, by reason, and requests that were not let in.",
            [
                Query(rate("nodescore_invalid_total", "reason"), "{{reason}}"),
                Query(rate("nodescore_access_refused_total", "reason"), "not let in: {{reason}}"),
            ],
            "cps",
        ),
        graph(
            "Traffic",
            "Compressed bytes of remote-write bodies.",
            [Query(rate("nodescore_received_bytes_total", "instance"), "{{instance}}")],
            "Bps",
        ),
        graph(
            "Connections",
            "Connections that are open, and those that the service ended in ten minutes, by reason.",
            [
                Query(f"sum(nodescore_connections{OF})", "open"),
                Query(f"{events('nodescore_connections_dropped_total', 'reason')} > 0", "ended: {{reason}}"),
            ],
            "short",
        ),
    ]


def _scoring() -> Panels:
    return [
        graph(
            "Rows",
            "Rows that left assembly. Incomplete ones lacked a sample at their deadline; remade and filled ones got it "
            "later.",
            [
                Query(rate("nodescore_rows_total", "kind"), "{{kind}}"),
                Query(rate("nodescore_rows_scored_total"), "scored"),
            ],
            "cps",
        ),
        graph(
            "Lag",
            "How old the newest and the oldest score are that an instance shows.",
            [
                Query(f"time() - max by (instance) (anomaly_last_row_timestamp_seconds{OF})", "newest at {{instance}}"),
                Query(f"time() - min by (instance) (anomaly_last_row_timestamp_seconds{OF})", "oldest at {{instance}}"),
            ],
            "s",
        ),
        graph(
            "Time of scoring",
            "Of one batch of rows in the detector.",
            quantiles("nodescore_scoring_duration_seconds"),
            "s",
        ),
        graph(
            "Time of a flush",
            "Of all that a batch of rows passes: rows, features, scores, store.",
            quantiles("nodescore_flush_duration_seconds"),
            "s",
        ),
        graph(
            "What waits for samples",
            "Rows that are open, and the samples of rows that are open or held, which `max_open_samples` bounds.",
            [
                each("nodescore_open_rows", "rows"),
                each("nodescore_open_samples", "samples"),
            ],
            "short",
        ),
        graph(
            "Rows given up",
            "Rows that lack a sample and are no longer held for it, in ten minutes: age is usual after an hour, room "
            "and disk are not.",
            [Query(events("nodescore_rows_given_up_total", "reason"), "{{reason}}")],
            "short",
        ),
    ]


def _keeping() -> Panels:
    return [
        graph(
            "Embedded file",
            "Its size, the journal's part of it, its budget, and what the disk has left.",
            [
                each("nodescore_store_bytes", "file"),
                each("nodescore_journal_bytes", "journal"),
                each("nodescore_disk_budget_bytes", "budget"),
                each("nodescore_disk_free_bytes", "free"),
            ],
            "bytes",
        ),
        graph(
            "Journal",
            "Records that are not yet in rows, or kept so that a restart knows what was before.",
            [each("nodescore_journal_records")],
            "short",
        ),
        graph(
            "Waiting for TimescaleDB",
            "Rows that wait on the service's own disk. Without a TimescaleDB there are none.",
            [each("nodescore_outbox_rows")],
            "short",
        ),
        graph(
            "TimescaleDB is behind by",
            "The age of the oldest row that waits for TimescaleDB.",
            [Query(f"max by (instance) (nodescore_outbox_oldest_row_age_seconds{OF})", "{{instance}}")],
            "s",
        ),
    ]


def _model() -> Panels:
    return [
        rows(
            "Versions",
            "The version that scores, the one before it, and the one in its shadow, of each instance.",
            [f"anomaly_model_info{OF}"],
            [
                Column("instance", "Instance"),
                Column("role", "Role"),
                Column("version", "Version"),
                Column("detector", "Detector"),
            ],
            height=8,
        ),
        graph(
            "Changes",
            "In ten minutes: models that took over, that were refused, that failed in the shadow, and trainings.",
            [
                Query(events("nodescore_model_changes_total"), "took over"),
                Query(events("nodescore_model_load_failures_total"), "refused"),
                Query(events("nodescore_shadow_failures_total"), "failed in the shadow"),
                Query(events("nodescore_retrainings_total", "outcome"), "training {{outcome}}"),
            ],
            "short",
        ),
        bars(
            "Drift",
            "How far the rows of the last hours are from those that the model was trained on: the population stability "
            "index of each feature. Over 0.25 is another population.",
            Query(f"sort_desc(max by (feature) (nodescore_feature_drift{OF}))", "{{feature}}"),
            "none",
            height=9,
        ),
        graph(
            "The shadow beside the active model",
            "Rows that both have scored, by who had them over the threshold. No row is counted without a shadow.",
            [Query(rate("nodescore_shadow_rows_total", "active", "shadow"), "active {{active}}, shadow {{shadow}}")],
            "cps",
            height=9,
        ),
    ]


def _process() -> Panels:
    return [
        graph(
            "CPU",
            "Cores that are busy.",
            [Query(rate("process_cpu_seconds_total", "instance"), "{{instance}}")],
            "none",
            width=8,
        ),
        graph(
            "Memory",
            "Resident memory of the service's process; a training has a process of its own.",
            [each("process_resident_memory_bytes")],
            "bytes",
            width=8,
        ),
        graph(
            "File descriptors",
            "Open ones; each connection takes one.",
            [each("process_open_fds")],
            "short",
            width=8,
        ),
        rows(
            "Pairs",
            "Of each high-availability pair of Prometheus, the replica that is listened to.",
            [f"nodescore_replica_elected{OF} == 1"],
            [Column("instance", "Instance"), Column("replica_set", "Pair"), Column("replica", "Replica")],
            height=7,
        ),
        graph(
            "Series",
            "Series of features that are known; `max_series` bounds them.",
            [each("nodescore_series")],
            "short",
            height=7,
        ),
    ]
