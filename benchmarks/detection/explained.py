"""Which features an attack of a kind moves, by what it does: a contribution that names one of them is right.

Stated from what the tools do to a node and what the features count, before any model was looked at. Kinds that are
not here are not judged.
"""

from __future__ import annotations

from collections.abc import Sequence

_CPU = frozenset({"cpu_sec_idle", "load1", "load5", "load15", "intr"})
_NETWORK = frozenset({"net_receive", "transmit_packets", "intr", "receive_drop", "receive_errs"})
_SOCKETS = frozenset(
    {"tcp_sock_alloc", "tcp_sock_inuse", "tcp_sock_mem", "est_conn", "ipv4_sock_inuse", "open_fds", "udp_sock_mem"}
)

MOVES: dict[str, frozenset[str]] = {
    "cpu-stress": _CPU,
    "cryptojacking": _CPU,
    # Packets both ways and half-open connections; a fast scan has many sockets of the scanner on its own node.
    "port-scan": _NETWORK | _SOCKETS,
    "network-dos": _NETWORK | _CPU | frozenset({"udp_sock_mem"}),
    # The server works for each request: sockets, packets, time of the CPU.
    "application-dos": _NETWORK | _SOCKETS | _CPU,
    "mixed-dos": _NETWORK | _SOCKETS | _CPU,
    "crash-loop": _CPU | frozenset({"forks_total", "mem_pressure", "open_fds"}),
    # What is sent is read first.
    "exfiltration": _NETWORK | frozenset({"tcp_sock_mem", "disk_read", "est_conn", "tcp_sock_inuse"}),
}


def is_right(kind: str, top_features: Sequence[str]) -> bool | None:
    """True where one of these is moved by attacks of this kind; None where nothing is stated of the kind."""
    moved = MOVES.get(kind)
    return None if moved is None else bool(moved & set(top_features))
