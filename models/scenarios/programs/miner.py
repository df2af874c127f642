"""Something like a cryptominer: `miner.py POOL PORT SHARE SECONDS`.

Hashes for SHARE of a CPU's time (0 to 1) for SECONDS, and tells a share it found to its pool every few seconds over
one connection that stays open.
"""

import hashlib
import socket
import sys
import time

SLICE_SECONDS = 0.02  # of work, then rest: as even as a throttled miner
TELL_SECONDS = 5.0


def main() -> None:
    """Mine."""
    pool, port, share, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
    end = time.monotonic() + seconds
    told = time.monotonic()
    block = bytes(80)
    with socket.create_connection((pool, port), timeout=10) as connection:
        while time.monotonic() < end:
            used = time.thread_time()
            while time.thread_time() - used < SLICE_SECONDS:
                block = hashlib.scrypt(block, salt=b"nonce", n=1024, r=1, p=1, dklen=80)
            time.sleep(SLICE_SECONDS * (1 - share) / share)
            if time.monotonic() - told > TELL_SECONDS:
                told = time.monotonic()
                connection.sendall(b'{"method": "mining.submit", "params": ["' + block.hex().encode() + b'"]}\n')
                connection.recv(1024)


if __name__ == "__main__":
    main()
