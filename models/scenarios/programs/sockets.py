"""Holds sockets: `sockets.py udp|tcp ADDRESS PORT COUNT SECONDS`.

As many as COUNT, bound to ADDRESS and PORT (udp) or connected to it (tcp), for SECONDS; nothing is sent over them.
"""

import socket
import sys
import time


def main() -> None:
    """Open, hold, end."""
    protocol, place, count, seconds = sys.argv[1], (sys.argv[2], int(sys.argv[3])), int(sys.argv[4]), float(sys.argv[5])
    held = []
    for _ in range(count):
        if protocol == "udp":
            held.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            held[-1].bind(place)
        else:
            held.append(socket.create_connection(place, timeout=10))
    time.sleep(seconds)


if __name__ == "__main__":
    main()
