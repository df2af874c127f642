"""Which rows a step of the model takes: compiled.

A *wave* is the oldest row of every node that is newer than the node's last one; then the next oldest of those that
have more, and so on. Costs some 10 ns a row and wave. Raises nothing, makes no array.
"""

from __future__ import annotations

import numpy as np

from receiver.columns import Float32, Int32, Int64
from receiver.compiled import compiled

# When the last row was of a node that has had none.
NEVER = np.iinfo(np.int64).min
# Of a node that is in no wave now.
NO_ROW = -1


@compiled
def next_wave(slot: Int32, time_ms: Int64, last_ms: Int64, oldest: Int64, row: Int64, elapsed_seconds: Float32) -> int:
    """Fill the wave's rows, ascending, and the seconds since each one's node's last; how many there are, maybe none.

    `slot` [R] is that of each row's node. `last_ms` [slots] goes on with it. `oldest` [slots] is room, `NO_ROW` before
    and after.
    """
    for i in range(len(slot)):
        best = oldest[slot[i]]
        if time_ms[i] > last_ms[slot[i]] and (best == NO_ROW or time_ms[i] < time_ms[best]):
            oldest[slot[i]] = i
    count = 0
    for i in range(len(slot)):
        if oldest[slot[i]] == i:
            oldest[slot[i]] = NO_ROW
            before_ms = last_ms[slot[i]]
            last_ms[slot[i]] = time_ms[i]
            row[count] = i
            elapsed_seconds[count] = 0.0 if before_ms == NEVER else (time_ms[i] - before_ms) / 1000
            count += 1
    return count
