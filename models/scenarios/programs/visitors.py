"""Visitors of web servers: `visitors.py SITES SEED`, until it is killed.

SITES is JSON, for each site its address, the visits a second on an average, and the phase of its day (0 to 1). A
visitor fetches a page, now and then a large file; visits are random, and their rate goes up and down in a "day" of
`DAY_SECONDS`. Some visitors stay connected for a while, as a page with news does.
"""

import http.client
import json
import math
import random
import sys
import threading
import time

PORT = 80
DAY_SECONDS = 900.0
SWING = 0.7  # of the rate, up and down from its average
LARGE_SHARE = 0.004
STAYING_SHARE = 0.03
STAYING_SECONDS = (5.0, 40.0)
TIMEOUT_SECONDS = 3.0


def rate_per_second(average: float, phase: float, elapsed_seconds: float) -> float:
    """Visits a second at a time of the day."""
    return average * (1 + SWING * math.sin(2 * math.pi * (elapsed_seconds / DAY_SECONDS + phase)))


def visit(address: str, path: str) -> http.client.HTTPConnection | None:
    """Fetch a page; the connection, unless the server is too busy, as attacked ones are."""
    connection = http.client.HTTPConnection(address, PORT, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        connection.close()
        return None
    return connection


def keep_visiting(address: str, average: float, phase: float, seed: str) -> None:
    """Visit one site for ever."""
    chance = random.Random(seed)  # noqa: S311 - nobody shall be surprised
    began = time.monotonic()
    staying: list[tuple[float, http.client.HTTPConnection]] = []
    while True:
        time.sleep(chance.expovariate(rate_per_second(average, phase, time.monotonic() - began)))
        large = chance.random() < LARGE_SHARE
        connection = visit(address, "/large" if large else f"/page{chance.randrange(8)}")
        now = time.monotonic()
        if connection is not None and chance.random() < STAYING_SHARE:
            staying.append((now + chance.uniform(*STAYING_SECONDS), connection))
        elif connection is not None:
            connection.close()
        for _, left in [entry for entry in staying if entry[0] < now]:
            left.close()
        staying = [entry for entry in staying if entry[0] >= now]


def main() -> None:
    """A thread a site."""
    for site in json.loads(sys.argv[1]):
        seed = f"{sys.argv[2]}-{site['address']}"
        arguments = (site["address"], site["per_second"], site["phase"], seed)
        threading.Thread(target=keep_visiting, args=arguments).start()


if __name__ == "__main__":
    main()
