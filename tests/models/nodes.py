"""Rows of nodes that are made up, after what node_exporter shows of calm servers: for tests of behaviour only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
from scipy.signal import lfilter

from models.table import Table
from receiver.catalogue import load
from receiver.columns import Float64, NodeName

FEATURES = load().feature_names
START_MS = 1_780_000_000_000

# feature: level of the population, noise around a node's level (as a factor), how much nodes differ (as a factor)
AMOUNTS = {
    "disk_read": (2e4, 1.0, 2.0),
    "disk_write": (2e5, 0.7, 2.0),
    "net_receive": (5e4, 0.4, 3.0),
    "mem_pressure": (0.3, 0.8, 2.0),
    "forks_total": (8.0, 0.3, 2.0),
    "intr": (1200.0, 0.15, 2.0),
    "transmit_packets": (120.0, 0.3, 3.0),
    "tcp_sock_alloc": (180.0, 0.03, 1.5),
    "tcp_sock_inuse": (60.0, 0.05, 1.5),
    "tcp_sock_mem": (40.0, 0.2, 1.5),
    "udp_sock_inuse": (4.0, 0.01, 1.2),
    "udp_sock_mem": (3.0, 0.05, 1.2),
    "ipv4_sock_inuse": (400.0, 0.02, 1.5),
    "est_conn": (40.0, 0.08, 1.5),
    "lis_conn": (20.0, 0.005, 1.2),
    "open_fds": (2500.0, 0.03, 1.5),
}


def table(
    nodes: int = 4,
    seconds: float = 7200,
    step: float = 5,
    seed: int = 0,
    missing: tuple[str, ...] = (),
    attack: tuple[float, float] | None = None,
    busy: float = 0.1,
    busy_spread: float = 1.0,
) -> Table:
    """Rows of nodes every `step` seconds; with `attack`, all CPUs are taken from its first to its second time.

    `busy` is the share of CPU that is used, by nodes that differ by a factor of `busy_spread` (σ).
    """
    random = np.random.default_rng(seed)
    rows = int(seconds / step)
    time = np.arange(rows, dtype=np.float64) * step
    attacked = np.zeros(rows, bool) if attack is None else (time >= attack[0]) & (time < attack[1])
    blocks = [_node(random, time, step, attacked, busy * busy_spread ** random.normal()) for _ in range(nodes)]
    x = np.stack(blocks, axis=1).reshape(rows * nodes, len(FEATURES)).astype(np.float32)
    for name in missing:
        x[:, FEATURES.index(name)] = np.nan
    time_ms = (START_MS + np.repeat(time, nodes) * 1000).astype(np.int64)
    return Table(
        features=FEATURES,
        nodes=tuple(NodeName("", f"node-{number}") for number in range(nodes)),
        node=np.tile(np.arange(nodes, dtype=np.int32), rows),
        time_ms=time_ms,
        x=x,
        attack=None if attack is None else np.repeat(attacked, nodes),
        time_text=pa.chunked_array([pa.array(time_ms.astype(str))]),
        entity_columns=frozenset({"node"}),
    )


def write_csv(rows: Table, path: Path) -> Path:
    """The table as a user would have it."""
    columns = {"time": rows.time_text, "node": pa.array([rows.nodes[node].node for node in rows.node])}
    columns |= {name: pa.array(rows.x[:, index]) for index, name in enumerate(rows.features)}
    if rows.attack is not None:
        columns["attack"] = pa.array(rows.attack.astype(np.int8))
    pyarrow.csv.write_csv(pa.table(columns), path)
    return path


def _node(
    random: np.random.Generator,
    time: Float64,
    step: float,
    attacked: np.ndarray[tuple[int], np.dtype[np.bool_]],
    busy: float,
) -> Float64:
    rows = len(time)
    used = busy * np.exp(0.25 * _drift(random, rows, step)) + 0.02 * np.abs(random.normal(size=rows))
    used = np.where(attacked, 0.995, np.minimum(used, 1))
    columns = {
        "cpu_sec_idle": 1 - used,
        "disk_av_per": np.full(rows, random.uniform(20, 80)) - 1e-5 * time,
        "mem_av_per": np.full(rows, random.uniform(30, 80)) + 0.3 * _drift(random, rows, step),
        "receive_drop": np.zeros(rows),
        "receive_errs": np.zeros(rows),
    }
    for name, minutes in (("load1", 1), ("load5", 5), ("load15", 15)):
        columns[name] = _trailing(used + 0.05 * attacked, 60.0 * minutes, step)
    for name, (level, noise, spread) in AMOUNTS.items():
        own = level * np.exp(np.log(spread) * random.normal())
        # Noise of a rate falls with the time that it is taken over.
        fast = noise * random.normal(size=rows) / np.sqrt(max(step, 1))
        columns[name] = own * np.exp(fast + 0.3 * noise * _drift(random, rows, step))
    columns["intr"] = columns["intr"] * np.where(attacked, 2.5, 1)
    return np.stack([columns[name] for name in FEATURES], axis=1)


def _drift(random: np.random.Generator, rows: int, step: float) -> Float64:
    """A standard normal that forgets itself in about two minutes."""
    keep = np.exp(-step / 120)
    kicks = random.normal(size=rows) * np.sqrt(1 - keep**2)
    return _following(kicks, keep, random.normal())


def _trailing(value: Float64, seconds: float, step: float) -> Float64:
    keep = np.exp(-step / seconds)
    return _following((1 - keep) * value, keep, value[0])


def _following(kicks: Float64, keep: float, start: float) -> Float64:
    """Of what it was, each row keeps so much, and adds its kick."""
    found: Float64 = lfilter([1], [1, -keep], kicks, zi=[keep * start])[0]
    return found
