"""One of the sender's connections is behind the others: a slow network, or a back-off that was longer."""

from __future__ import annotations

from tests.faults.clocks import Clock
from tests.faults.load import ASSEMBLY_DEADLINE_SECONDS, Load, Outcome

# One that speaks version 1, and one that speaks version 2.
SHARDS_BEHIND = (0, 3)


def fall_behind(load: Load, seconds: float) -> Outcome:
    """Two connections, one after the other, send nothing for so long, while the others go on."""
    for shard in SHARDS_BEHIND:
        load.go_on(2000)
        load.sender.pause(shard)
        load.linger(seconds)
        load.sender.resume(shard)
    return load.finish(f"one connection behind by {seconds:g} s", len(SHARDS_BEHIND))


def step_forward_while_behind(load: Load, clock: Clock, seconds: float) -> Outcome:
    """The clock is set forward when rows have left with what the others had sent; the rest comes at once after it."""
    for number, shard in enumerate(SHARDS_BEHIND, start=1):
        load.go_on(2000)
        load.sender.pause(shard)
        load.linger(ASSEMBLY_DEADLINE_SECONDS + 1)
        clock.set(number * seconds)
        load.linger(0.5)  # some flushes
        load.sender.resume(shard)
    return load.finish("clock set forward, one connection behind", len(SHARDS_BEHIND))
