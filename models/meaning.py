"""What is known of the node features before any data: which way hurts, and how much is worth a look.

Stated from what the features count, not from labels: load, traffic, sockets and failures hurt as they rise, what
is idle or free as it falls. `unit` is the least amount that matters on any machine: below it a feature is taken
as linear, so that a node without traffic is not alarmed by its first packets; above it as logarithmic, so that
twice is twice on a small machine and on a large one.

Features that are not here, of another catalogue or table, are watched both ways, in units that their data has.
"""

from __future__ import annotations

from typing import NamedTuple


class Meaning(NamedTuple):
    """+1: more is harmful; −1: less is. `unit` is in the unit of the model's input."""

    direction: int
    unit: float
    weight: float = 1.0


SHARE = 1.0  # of something bounded, like CPU time, and of load, which is counted in CPUs

MEANINGS = {
    "cpu_sec_idle": Meaning(-1, SHARE),
    "disk_av_per": Meaning(-1, 10),  # percent
    "disk_read": Meaning(1, 1e6),  # bytes/s
    "disk_write": Meaning(1, 1e6),
    "net_receive": Meaning(1, 1e4),
    "mem_pressure": Meaning(1, 10),  # major faults/s
    "mem_av_per": Meaning(-1, 10),
    "forks_total": Meaning(1, 5),  # /s
    "intr": Meaning(1, 500),
    "load1": Meaning(1, SHARE),
    # What load1 was: the model averages over time itself, and these would keep alerts open long after their cause.
    "load5": Meaning(1, SHARE, weight=0),
    "load15": Meaning(1, SHARE, weight=0),
    "receive_drop": Meaning(1, 1),  # packets/s
    "receive_errs": Meaning(1, 1),
    "transmit_packets": Meaning(1, 20),
    "tcp_sock_alloc": Meaning(1, 20),
    "tcp_sock_inuse": Meaning(1, 20),
    "tcp_sock_mem": Meaning(1, 100),  # pages
    "udp_sock_inuse": Meaning(1, 10),
    "udp_sock_mem": Meaning(1, 100),
    "ipv4_sock_inuse": Meaning(1, 100),
    "est_conn": Meaning(1, 10),
    "lis_conn": Meaning(1, 10),
    "open_fds": Meaning(1, 500),
}
