"""The dashboard of the service: whether samples come in, become rows and scores, and are kept."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from manifests.grafana.frame import frame, values_of
from manifests.grafana.panels import NONE_IS_GOOD, Column, Query, bars, graph, number, rows

OF = '{job=~"$job",instance=~"$instance"}'
WINDOW = "[$__rate_interval]"
# Events are rare: counted over at least ten minutes, so that one shows as a hill and not as a needle.
EVENTS_WINDOW = "[10m]"


def of(*matchers: str) -> str:
    """The chosen instances, and these matchers."""
    return f"{{{','.join([OF[1:-1], *matchers])}}}"


def rate(metric: str, *by: str, matcher: str = "") -> str:
    """A counter's rate a second, over all chosen instances, by these labels."""
    series = f"{metric}{of(matcher) if matcher else OF}"
    return f"sum{f' by ({chr(44).join(by)})' if by else ''} (rate({series}{WINDOW}))"


def quantiles(histogram: str) -> list[Query]:
    """The median, and what one in a hundred takes longer than."""
    return [
        Query(f"histogram_quantile({share}, {rate(f'{histogram}_bucket', 'le')})", name)
        for share, name in ((0.5, "median"), (0.99, "99 %"))
    ]


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
    _numbers(built)
    _senders(built)
    _scoring(built)
    _keeping(built)
    _model(built)
    _process(built)
    return built


def _numbers(built: Dashboard) -> None:
    built.with_panel(
        number(
            "Instances up",
            "Instances whose last scrape succeeded.",
            Query(f"sum(up{OF})", "up"),
            "short",
            colors={None: "red", 1: "green"},
            none="none",
        )
    ).with_panel(
        number(
            "Version",
            "Of the service.",
            Query(f"max by (version) (nodescore_build_info{OF})", "{{version}}"),
            "short",
            named=True,
        )
    ).with_panel(
        number(
            "Nodes",
            "Nodes known to the instances that are chosen.",
            Query(f"sum(nodescore_nodes{OF})", "nodes"),
            "short",
        )
    ).with_panel(
        number(
            "Samples",
            "Samples received a second, wanted or not.",
            Query(rate("nodescore_samples_received_total"), "samples"),
            "cps",
        )
    ).with_panel(
        number(
            "Rows scored",
            "Rows that passed through the detector, a second.",
            Query(rate("nodescore_rows_scored_total"), "rows"),
            "cps",
        )
    ).with_panel(
        number(
            "Alerts firing",
            "Alerts on the service itself.",
            Query('count(ALERTS{alertname=~"Nodescore.+",alertstate="firing"}) or vector(0)', "alerts"),
            "short",
            colors=NONE_IS_GOOD,
        )
    )


def _senders(built: Dashboard) -> None:
    built.with_row(Row("Senders"))
    built.with_panel(
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
        )
    )
    built.with_panel(
        graph(
            "Answers",
            "Remote-write requests by their answer. 204: on disk; 202: of the other replica of a pair; 4xx: lost, the "
            "sender's log says why; 503: the sender tries again.",
            [Query(f"{rate('nodescore_requests_total', 'code')} > 0", "{{code}}")],
            "reqps",
            stacked=True,
        )
    )
    built.with_panel(
        graph(
            "Time to the answer",
            "From the last byte of a request to its answer, the disk's sync included.",
            quantiles("nodescore_request_duration_seconds"),
            "s",
        )
    )
    built.with_panel(
        graph(
            "Refused",
            "Series and samples that were refused with 400, by reason, and requests that were not let in.",
            [
                Query(rate("nodescore_invalid_total", "reason"), "{{reason}}"),
                Query(rate("nodescore_access_refused_total", "reason"), "not let in: {{reason}}"),
            ],
            "cps",
        )
    )
    built.with_panel(
        graph(
            "Traffic",
            "Compressed bytes of remote-write bodies.",
            [Query(rate("nodescore_received_bytes_total", "instance"), "{{instance}}")],
            "Bps",
        )
    )
    built.with_panel(
        graph(
            "Connections",
            "Connections that are open, and those that the service ended in ten minutes, by reason.",
            [
                Query(f"sum(nodescore_connections{OF})", "open"),
                Query(
                    f"sum by (reason) (increase(nodescore_connections_dropped_total{OF}{EVENTS_WINDOW})) > 0",
                    "ended: {{reason}}",
                ),
            ],
            "short",
        )
    )


def _scoring(built: Dashboard) -> None:
    built.with_row(Row("Rows and scores"))
    built.with_panel(
        graph(
            "Rows",
            "Rows that left assembly. Incomplete ones lacked a sample at their deadline; remade and filled ones got it "
            "later.",
            [
                Query(rate("nodescore_rows_total", "kind"), "{{kind}}"),
                Query(rate("nodescore_rows_scored_total"), "scored"),
            ],
            "cps",
        )
    )
    built.with_panel(
        graph(
            "Lag",
            "How old the newest and the oldest score are that an instance shows.",
            [
                Query(f"time() - max by (instance) (anomaly_last_row_timestamp_seconds{OF})", "newest at {{instance}}"),
                Query(f"time() - min by (instance) (anomaly_last_row_timestamp_seconds{OF})", "oldest at {{instance}}"),
            ],
            "s",
        )
    )
    built.with_panel(
        graph(
            "Time of scoring",
            "Of one batch of rows in the detector.",
            quantiles("nodescore_scoring_duration_seconds"),
            "s",
        )
    )
    built.with_panel(
        graph(
            "Time of a flush",
            "Of all that a batch of rows passes: rows, features, scores, store.",
            quantiles("nodescore_flush_duration_seconds"),
            "s",
        )
    )
    built.with_panel(
        graph(
            "What waits for samples",
            "Rows that are open, and the samples of rows that are open or held, which `max_open_samples` bounds.",
            [
                Query(f"sum by (instance) (nodescore_open_rows{OF})", "rows at {{instance}}"),
                Query(f"sum by (instance) (nodescore_open_samples{OF})", "samples at {{instance}}"),
            ],
            "short",
        )
    )
    built.with_panel(
        graph(
            "Rows given up",
            "Rows that lack a sample and are no longer held for it, in ten minutes: age is usual after an hour, room "
            "and disk are not.",
            [Query(f"sum by (reason) (increase(nodescore_rows_given_up_total{OF}{EVENTS_WINDOW}))", "{{reason}}")],
            "short",
        )
    )


def _keeping(built: Dashboard) -> None:
    built.with_row(Row("Journal and store"))
    built.with_panel(
        graph(
            "Embedded file",
            "Its size, the journal's part of it, its budget, and what the disk has left.",
            [
                Query(f"sum by (instance) (nodescore_store_bytes{OF})", "file at {{instance}}"),
                Query(f"sum by (instance) (nodescore_journal_bytes{OF})", "journal at {{instance}}"),
                Query(f"sum by (instance) (nodescore_disk_budget_bytes{OF})", "budget at {{instance}}"),
                Query(f"sum by (instance) (nodescore_disk_free_bytes{OF})", "free at {{instance}}"),
            ],
            "bytes",
        )
    )
    built.with_panel(
        graph(
            "Journal",
            "Records that are not yet in rows, or kept so that a restart knows what was before.",
            [Query(f"sum by (instance) (nodescore_journal_records{OF})", "{{instance}}")],
            "short",
        )
    )
    built.with_panel(
        graph(
            "Waiting for TimescaleDB",
            "Rows that wait on the service's own disk. Without a TimescaleDB there are none.",
            [Query(f"sum by (instance) (nodescore_outbox_rows{OF})", "{{instance}}")],
            "short",
        )
    )
    built.with_panel(
        graph(
            "TimescaleDB is behind by",
            "The age of the oldest row that waits for TimescaleDB.",
            [Query(f"max by (instance) (nodescore_outbox_oldest_row_age_seconds{OF})", "{{instance}}")],
            "s",
        )
    )


def _model(built: Dashboard) -> None:
    built.with_row(Row("Model"))
    built.with_panel(
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
        )
    )
    built.with_panel(
        graph(
            "Changes",
            "In ten minutes: models that took over, that were refused, that failed in the shadow, and trainings.",
            [
                Query(f"sum(increase(nodescore_model_changes_total{OF}{EVENTS_WINDOW}))", "took over"),
                Query(f"sum(increase(nodescore_model_load_failures_total{OF}{EVENTS_WINDOW}))", "refused"),
                Query(f"sum(increase(nodescore_shadow_failures_total{OF}{EVENTS_WINDOW}))", "failed in the shadow"),
                Query(
                    f"sum by (outcome) (increase(nodescore_retrainings_total{OF}{EVENTS_WINDOW}))",
                    "training {{outcome}}",
                ),
            ],
            "short",
        )
    )
    built.with_panel(
        bars(
            "Drift",
            "How far the rows of the last hours are from those that the model was trained on: the population stability "
            "index of each feature. Over 0.25 is another population.",
            Query(f"sort_desc(max by (feature) (nodescore_feature_drift{OF}))", "{{feature}}"),
            "none",
            height=9,
        )
    )
    built.with_panel(
        graph(
            "The shadow beside the active model",
            "Rows that both have scored, by who had them over the threshold. No row is counted without a shadow.",
            [
                Query(
                    rate("nodescore_shadow_rows_total", "active", "shadow"),
                    "active {{active}}, shadow {{shadow}}",
                )
            ],
            "cps",
            height=9,
        )
    )


def _process(built: Dashboard) -> None:
    built.with_row(Row("Process"))
    built.with_panel(
        graph(
            "CPU",
            "Cores that are busy.",
            [Query(rate("process_cpu_seconds_total", "instance"), "{{instance}}")],
            "none",
            width=8,
        )
    )
    built.with_panel(
        graph(
            "Memory",
            "Resident memory of the service's process; a training has a process of its own.",
            [Query(f"sum by (instance) (process_resident_memory_bytes{OF})", "{{instance}}")],
            "bytes",
            width=8,
        )
    )
    built.with_panel(
        graph(
            "File descriptors",
            "Open ones; each connection takes one.",
            [Query(f"sum by (instance) (process_open_fds{OF})", "{{instance}}")],
            "short",
            width=8,
        )
    )
    built.with_panel(
        rows(
            "Pairs",
            "Of each high-availability pair of Prometheus, the replica that is listened to.",
            [f"nodescore_replica_elected{OF} == 1"],
            [Column("instance", "Instance"), Column("replica_set", "Pair"), Column("replica", "Replica")],
            height=7,
        )
    )
    built.with_panel(
        graph(
            "Series",
            "Series of features that are known; `max_series` bounds them.",
            [Query(f"sum by (instance) (nodescore_series{OF})", "{{instance}}")],
            "short",
            height=7,
        )
    )
