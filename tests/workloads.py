"""A catalogue that has nothing in common with the 24 features: other metrics, another entity, another kind of label."""

from __future__ import annotations

from receiver import catalogue

WORKLOADS = catalogue.parse(
    """
name = "workload"
[entity]
cluster = ["region"]
node = ["workload"]
target = ["namespace"]
[[feature]]
name = "requests"
help = "Requests"
unit = "requests"
kind = "counter"
per = "replicas"
source = [{ metric = "http_requests_total", scale = 2.0 }]
[[feature]]
name = "memory_share"
help = "Memory used"
unit = "percent"
kind = "gauge"
source = [
    { metric = "memory_bytes", over = "memory_limit_bytes", scale = 100.0 },
    { metric = "memory_percent" },
]
[[feature]]
name = "replicas"
help = "Replicas"
unit = "replicas"
kind = "gauge"
source = [{ metric = "replicas", match = { state = "up" }, absent_is_zero = true }]
[[feature]]
name = "replicas_down"
help = "Replicas that are down"
unit = "replicas"
kind = "gauge"
source = [{ metric = "replicas", match = { state = "down" }, absent_is_zero = true }]
""",
    "workloads.toml",
)
