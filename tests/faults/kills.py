"""`kill -9` of the service, at random moments."""

from __future__ import annotations

from tests.faults.load import Load, Outcome
from tests.servers.process import wait_until

# Of all kills, those that do not wait for the service to be ready: they strike while it starts and recovers.
WHILE_STARTING = 0.25
LONGEST_START_SECONDS = 1.0
LONGEST_LIFE_SECONDS = 0.5


def kill_again_and_again(load: Load, kills: int) -> Outcome:
    """Kill and start `kills` times."""
    service = load.service
    for number in range(kills):
        if number and load.random.random() < WHILE_STARTING:
            load.linger(load.random.random() * LONGEST_START_SECONDS)
        else:
            wait_until(service.ready, "the service is ready")
            load.linger(load.random.random() * LONGEST_LIFE_SECONDS)
        service.kill()
        service.spawn()
    wait_until(service.ready, "the service is ready")
    return load.finish("kill -9", kills)
