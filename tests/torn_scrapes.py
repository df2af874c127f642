"""Scrapes of one target as a sender's connections bring them: torn, some of the connections far behind the others.

A series belongs to one connection. Each connection keeps the order of its samples, and of nothing else. A series that
is no longer there ends with a staleness marker.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import assume
from hypothesis import strategies as st

from receiver.columns import STALE_NAN_BITS

IDLE_0 = {"__name__": "node_cpu_seconds_total", "mode": "idle", "cpu": "0"}
IDLE_1 = {"__name__": "node_cpu_seconds_total", "mode": "idle", "cpu": "1"}
LOAD_1 = {"__name__": "node_load1"}
DISK_A = {"__name__": "node_disk_read_bytes_total", "device": "sda"}
DISK_B = {"__name__": "node_disk_read_bytes_total", "device": "sdb"}
SERIES = (IDLE_0, IDLE_1, LOAD_1, DISK_A, DISK_B)
FEATURES = {"cpu_sec_idle": (0, 1), "load1": (2,), "disk_read": (3, 4)}  # the series of each

STALE: float = STALE_NAN_BITS.view("f8").item()
CONNECTIONS = 3
STEPS = 9  # longer than a silent series is waited for
STEP_MS = 10_000
# In time, a little late, after the deadline, after the horizon, and within the hour.
DELAYS_MS = (0, 0, 1500, 8000, 75_000, 600_000, 2_400_000)

Sample = tuple[dict[str, str], int, float]


@dataclass(frozen=True)
class Torn:
    """What arrives when, and what it has to become; times count from the first scrape."""

    requests: list[tuple[int, list[Sample]]]
    expected: dict[int, dict[str, float]]


@st.composite
def torn_scrapes(draw: st.DrawFn, *, series_come: bool, first_in_time: bool) -> Torn:
    """`series_come`: they may come and go at any scrape; otherwise they may end, and be no more.

    `first_in_time`: the first scrape has all of them and arrives at once.
    """
    there = [_presence(draw, series_come, first_in_time) for _ in SERIES]
    connection_of = [draw(st.integers(0, CONNECTIONS - 1)) for _ in SERIES]
    requests = []
    for connection in range(CONNECTIONS):
        arrival_ms = 0
        for step in range(STEPS):
            delay_ms = 0 if first_in_time and step == 0 else draw(st.sampled_from(DELAYS_MS))
            arrival_ms = max(arrival_ms, step * STEP_MS + delay_ms)
            samples = [
                (labels, step * STEP_MS, _value(place, step) if there[place][step] else STALE)
                for place, labels in enumerate(SERIES)
                if connection_of[place] == connection and (there[place][step] or (step and there[place][step - 1]))
            ]
            if samples:
                requests.append((arrival_ms, samples))
    requests.sort(key=lambda request: request[0])
    expected = {}
    for step in range(STEPS):
        values = {
            feature: sum(_value(place, step) for place in places if there[place][step])
            for feature, places in FEATURES.items()
            if any(there[place][step] for place in places)
        }
        if values:
            expected[step * STEP_MS] = values
    assume(requests)
    return Torn(requests, expected)


def _presence(draw: st.DrawFn, series_come: bool, first_in_time: bool) -> list[bool]:
    if series_come:
        return draw(st.lists(st.booleans(), min_size=STEPS, max_size=STEPS))
    return [step < draw_end for draw_end in [draw(st.integers(int(first_in_time), STEPS))] for step in range(STEPS)]


def _value(place: int, step: int) -> float:
    """No two sums of some of them are equal."""
    return float(2 ** (place + 5 * step))
