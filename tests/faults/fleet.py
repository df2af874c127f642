"""Simulated nodes and their scrapes: the series of a node_exporter that the catalogue wants, and some that it does not.

Out: `Scrape`s, each a list of (series id, value) of one node at one time. All values are a function of (seed, series,
time): integers and small fractions of two, so that every sum of them is exact in any order. What real nodes do:
- a device is taken out and put back in, and its series end with staleness markers;
- no connection is established, and node_exporter omits the series of that state;
- counters are reset, and now and then a scrape fails as a whole.
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass

from tests.faults.oracle import Labels

# The NaN by which Prometheus says that a series has ended.
STALE: float = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
FAILED_SCRAPES = 0.02
CPUS = 4
# A device that comes and goes is there for so many scrapes, and away for as many.
AWAY_SCRAPES = 7
RESET_SCRAPES = 50

_DEVICES = {"eth0": False, "eth1": True, "lo": False, "cali12ab": True}  # the last column: comes and goes
_DISKS = {"sda": False, "nvme0n1": True, "sda1": False, "dm-0": False}
_NETWORK = (
    "node_network_receive_bytes_total",
    "node_network_receive_drop_total",
    "node_network_receive_errs_total",
    "node_network_transmit_packets_total",
    "node_network_transmit_bytes_total",  # nobody wants it
)
_COUNTERS = ("node_vmstat_pgmajfault", "node_forks_total", "node_intr_total")
_GAUGES = (
    "node_memory_MemAvailable_bytes",
    "node_memory_MemTotal_bytes",
    "node_memory_MemFree_bytes",
    "node_load1",
    "node_load5",
    "node_load15",
    "node_sockstat_TCP_alloc",
    "node_sockstat_TCP_inuse",
    "node_sockstat_TCP_mem",
    "node_sockstat_UDP_inuse",
    "node_sockstat_UDP_mem",
    "node_sockstat_sockets_used",
    "node_filefd_allocated",
    "go_goroutines",
)


@dataclass(frozen=True, slots=True)
class Series:
    """One series of one node, by its place in the fleet."""

    id: int
    labels: Labels
    counter: bool
    comes_and_goes: bool


@dataclass(frozen=True, slots=True)
class Scrape:
    """What one scrape of one node gives to remote write."""

    time_ms: int
    samples: list[tuple[int, float]]  # series id, value; a staleness marker where the series has just ended


class Fleet:
    """All nodes. Two of them have the same name, in two clusters.

    `devices_change`: whether devices are taken out and put back in.
    """

    def __init__(self, nodes: int, seed: int, devices_change: bool) -> None:
        self.series: list[Series] = []
        self.devices_change = devices_change
        self._random = random.Random(seed)
        self.nodes = [Node(self, number) for number in range(nodes)]

    def add(self, labels: dict[str, str], counter: bool, comes_and_goes: bool = False) -> Series:
        """One more series."""
        series = Series(len(self.series), tuple(sorted(labels.items())), counter, comes_and_goes)
        self.series.append(series)
        return series


class Node:
    """One node_exporter, and what Prometheus remembers of its last scrape."""

    def __init__(self, fleet: Fleet, number: int) -> None:
        self.own = {"job": "node", "instance": f"10.0.0.{number}:9100", "cluster": "east"}
        self.own |= {"node": "twin", "cluster": ("east", "west")[number]} if number < 2 else {"node": f"n{number}"}
        self.number = number
        self.series: list[Series] = []
        self._fleet = fleet
        self._random = random.Random(f"{number} {fleet._random.random()}")
        self._scrapes = self._random.randrange(RESET_SCRAPES)
        self._present: set[int] = set()
        for cpu in range(CPUS):
            for mode in ("idle", "user", "system"):
                self._add("node_cpu_seconds_total", True, cpu=str(cpu), mode=mode)
        for device, volatile in _DEVICES.items():
            for metric in _NETWORK:
                self._add(metric, True, volatile, device=device)
        for device, volatile in _DISKS.items():
            for metric in ("node_disk_read_bytes_total", "node_disk_written_bytes_total"):
                self._add(metric, True, volatile, device=device)
        for mountpoint in ("/", "/var"):
            for metric in ("node_filesystem_avail_bytes", "node_filesystem_size_bytes"):
                self._add(metric, False, device="/dev/sda1", fstype="ext4", mountpoint=mountpoint)
        for state in ("established", "listen", "time_wait"):
            self._add("node_tcp_connection_states", False, state == "established", state=state)
        for metric in _COUNTERS:
            self._add(metric, True)
        for metric in _GAUGES:
            self._add(metric, False)

    def scrape(self, time_ms: int) -> Scrape:
        """The next scrape."""
        self._scrapes += 1
        gone = self._fleet.devices_change and self._scrapes // AWAY_SCRAPES % 2 == 1
        # The first one succeeds, so that a node's series exist before they end.
        failed = bool(self._present) and self._random.random() < FAILED_SCRAPES
        here = [] if failed else [one for one in self.series if not (one.comes_and_goes and gone)]
        samples = [(one.id, self._value(one, time_ms)) for one in here]
        samples += [(id_, STALE) for id_ in sorted(self._present - {one.id for one in here})]
        self._present = {one.id for one in here}
        return Scrape(time_ms, samples)

    def _value(self, series: Series, time_ms: int) -> float:
        if series.counter:
            return float((self._scrapes % RESET_SCRAPES) * (1000 + series.id) + series.id)
        # Multiplied by a large odd number, the low bits of a time are as good as random; a size is never 0.
        return ((series.id + 1) * (time_ms % 1_000_003) * 2_654_435_761 % 65_536 + 1) / 16

    def _add(self, metric: str, counter: bool, comes_and_goes: bool = False, **labels: str) -> None:
        self.series.append(self._fleet.add({"__name__": metric, **self.own, **labels}, counter, comes_and_goes))
