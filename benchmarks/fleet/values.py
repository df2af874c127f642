"""What the nodes of a fleet say: the series that each has, and their values over time.

All nodes have the series of one real exposition. A counter goes on as fast as it did since that machine was booted,
with a pace of its own on each node and some noise; a gauge moves about its value. What was 0 stays 0, as on a real
node most error counters do, and takes 9 bytes less on the wire. Costs some 20 ns a value.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Self

import numpy as np

from benchmarks.node_exporter import Scraped
from receiver.columns import Bool, Float64, Int32, Int64
from receiver.compiled import compiled

# What counts, of a node_exporter: its own types are not in what is sent.
COUNTER = re.compile(r"_(total|count|sum|bucket)$|^node_vmstat_")
# A counter's noise, in intervals of its pace: less than one, so that none ever falls.
NOISE_INTERVALS = 0.2
# A gauge's noise, as a share of it; small whole ones (a state, a number of CPUs) stand still.
NOISE_SHARE = 0.04
STILL_BELOW = 100.0


class Values(NamedTuple):
    """How each of K series goes."""

    base: Float64  # [K] at the beginning
    per_second: Float64  # [K] 0 for what does not count
    swing: Float64  # [K]
    whole: Bool  # [K] of whole numbers

    @classmethod
    def of(cls, scraped: list[Scraped]) -> Self:
        """Those of an exposition."""
        base = np.array([one.value for one in scraped])
        found = {one.labels["__name__"]: one.value for one in scraped}
        uptime = max(60.0, found.get("node_time_seconds", 0.0) - found.get("node_boot_time_seconds", 0.0))
        counts = np.array([COUNTER.search(one.labels["__name__"]) is not None for one in scraped])
        whole = base == np.floor(base)
        moves = ~counts & np.isfinite(base) & ~(whole & (np.abs(base) < STILL_BELOW))
        return cls(
            base=base,
            per_second=np.where(counts & np.isfinite(base), base / uptime, 0.0),
            swing=np.where(moves, NOISE_SHARE * base, 0.0),
            whole=whole,
        )


@compiled
def evaluate(
    values: Values,
    series: Int32,
    slot: Int32,
    node: Int64,
    round_: Int64,
    elapsed_seconds: Float64,
    interval_seconds: float,
    out: Float64,
) -> None:
    """Put the value of each sample into `out`: of a series, of the node that is in a slot, at the slot's time."""
    for i in range(len(series)):
        k, s = series[i], slot[i]
        seed = node[s] * 7919 + k * 104729
        pace = 0.7 + 0.3 * _uniform(node[s])
        noise = _uniform(seed + round_[s] * 15485863)
        value = values.base[k] + values.per_second[k] * pace * (
            elapsed_seconds[s] + NOISE_INTERVALS * interval_seconds * noise
        )
        value += values.swing[k] * (noise - 0.5)
        out[i] = np.floor(value) if values.whole[k] else value


@compiled
def _uniform(seed: int) -> float:
    """From 0 to 1, always the same for a seed."""
    mixed = (seed & 0x7FFFFFFF) * 2654435761 & 0xFFFFFFFF
    return ((mixed ^ mixed >> 15) * 2246822519 >> 16 & 0xFFFF) / 65536.0
