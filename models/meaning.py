"""What is known of the node features before any data: which way hurts, and how much is worth a look.

Stated from what the features count, not from labels: load, traffic, sockets and failures hurt as they rise, what
is idle or free as it falls. Features that are not here, of another catalogue or table, are watched both ways, in
units and scales that their data has.
"""

from __future__ import annotations

from typing import NamedTuple


class Meaning(NamedTuple):
    """Of a feature as model input.

    direction   +1: more is harmful; −1: less is
    unit        the least amount that matters on any machine: below it a feature is taken as linear, so that a node
                without traffic is not alarmed by its first packets; above it as logarithmic, so that twice is twice
                on a small machine and on a large one
    scale       what it goes up and down by on any machine, as a standard deviation of asinh(x / unit): 0.1 is 10 %,
                1 is a factor of e. A recording that is calmer than this does not show how machines live.
    weight      in the mean over features
    """

    direction: int
    unit: float
    scale: float
    weight: float = 1.0


SHARE = 1.0  # of something bounded, like CPU time, and of load, which is counted in CPUs

MEANINGS = {
    "cpu_sec_idle": Meaning(-1, SHARE, 0.07),
    "disk_av_per": Meaning(-1, 10, 0.1),  # percent
    "disk_read": Meaning(1, 1e6, 1.5),  # bytes/s
    "disk_write": Meaning(1, 1e6, 1.5),
    "net_receive": Meaning(1, 1e4, 1),
    "mem_pressure": Meaning(1, 10, 1),  # major faults/s
    "mem_av_per": Meaning(-1, 10, 0.15),
    "forks_total": Meaning(1, 5, 0.5),  # /s
    "intr": Meaning(1, 500, 0.5),
    "load1": Meaning(1, SHARE, 0.1),
    # What load1 was: the model averages over time itself, and these would keep alerts open long after their cause.
    "load5": Meaning(1, SHARE, 0.1, weight=0),
    "load15": Meaning(1, SHARE, 0.1, weight=0),
    "receive_drop": Meaning(1, 1, 1),  # packets/s
    "receive_errs": Meaning(1, 1, 1),
    "transmit_packets": Meaning(1, 20, 1),
    "tcp_sock_alloc": Meaning(1, 20, 0.4),
    "tcp_sock_inuse": Meaning(1, 20, 0.4),
    "tcp_sock_mem": Meaning(1, 100, 1),  # pages
    "udp_sock_inuse": Meaning(1, 10, 0.4),
    "udp_sock_mem": Meaning(1, 100, 1),
    "ipv4_sock_inuse": Meaning(1, 100, 0.3),
    "est_conn": Meaning(1, 10, 0.5),
    "lis_conn": Meaning(1, 10, 0.3),
    "open_fds": Meaning(1, 500, 0.3),
}
