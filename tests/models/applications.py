"""Made-up applications: made-up nodes, as rules would record what runs on them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.table import Table
from receiver.catalogue import load
from receiver.settings import shipped_catalogue

FEATURES = load(shipped_catalogue("application")).feature_names
# Feature → the node's feature that stands for it, and its unit in that one's.
OF_NODES = {
    "memory": ("tcp_sock_mem", 1e6),
    "major_faults": ("mem_pressure", 1.0),
    "disk_read": ("disk_read", 1.0),
    "disk_write": ("disk_write", 1.0),
    "net_receive": ("net_receive", 1.0),
    "net_transmit": ("transmit_packets", 500.0),
    "processes": ("lis_conn", 1.0),
    "threads": ("tcp_sock_inuse", 1.0),
    "open_fds": ("open_fds", 1.0),
    "http_requests": ("est_conn", 1.0),
    "http_seconds": ("load1", 0.1),
}


def as_applications(rows: Table) -> Table:
    """The same entities, times and attacks; no restart, no error, and nothing known of throttling."""
    node = {name: rows.x[:, index] for index, name in enumerate(rows.features)}
    columns = {name: node[of] * unit for name, (of, unit) in OF_NODES.items()}
    columns["cpu_cores"] = 1 - node["cpu_sec_idle"]
    columns["cpu_throttled"] = np.full(len(rows), np.nan, np.float32)
    columns["restarts"] = columns["http_errors"] = np.zeros(len(rows), np.float32)
    x = np.stack([columns[name] for name in FEATURES], axis=1).astype(np.float32)
    return replace(rows, features=FEATURES, x=x)
