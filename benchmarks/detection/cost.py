"""What one step of each detector costs at the size of the largest cluster: `python -m benchmarks.detection.cost`.

Every detector is trained, as `nodescore train` would, on those rows of our own scenarios that train while tuning. Then
it steps `NODES` nodes at once, as the service does every scrape, each node going through the normal rows of a recorded
one from a place of its own, states carried on. Out: a Markdown table on standard output. CPU time of one thread,
without the steps in which memory is first touched. Costs the trainings, and `WARM_UP + STEPS` steps of each.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.detection import scenarios
from benchmarks.detection.splits import FALSE_ALERTS_PER_NODE_DAY
from models.detectors import DEFAULT, DETECTORS
from models.run import probe
from models.table import Table
from models.train import finish, fit, quantiles
from receiver.detector import Detector

NODES = 5000  # of the largest cluster that Kubernetes supports
STEPS = 30
WARM_UP = 5
STEP_SECONDS = 10.0
SEED = 1
# What the default must keep: of a 10 s interval a hundredth, and 100 MB for all nodes.
GOAL_MS, GOAL_STATE_BYTES = 100.0, 20 * 1024


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one detector."""

    name: str
    step_ms: float  # median
    worst_ms: float
    state_bytes: int  # of a node
    model_bytes: int  # of the file


def main() -> None:
    """The command line."""
    (case,) = scenarios.own("tuning")
    costs = []
    for name in DETECTORS:
        costs.append(cost(name, case.train))
        print(f"{name}: {costs[-1].step_ms:.1f} ms", file=sys.stderr, flush=True)
    print("\n".join(report(costs)))


def cost(name: str, train: Table, nodes: int = NODES, steps: int = STEPS) -> Cost:
    """Train a detector on a table, and time its steps."""
    model, how = fit(train, name, FALSE_ALERTS_PER_NODE_DAY, "budget")
    detector = probe(model)
    taken_ms = step_times_ms(detector, train.normal(), nodes, steps)
    finish(model, name, 0, how | {"data": {"quantiles": quantiles(train.normal())}})
    return Cost(
        name=name,
        step_ms=statistics.median(taken_ms),
        worst_ms=max(taken_ms),
        state_bytes=detector.initial_state.nbytes,
        model_bytes=model.ByteSize(),
    )


def step_times_ms(detector: Detector, normal: Table, nodes: int, steps: int) -> list[float]:
    """CPU time of each of so many steps of so many nodes, in milliseconds."""
    x = normal.x[np.lexsort((normal.time_ms, normal.node))]
    place = np.random.default_rng(SEED).integers(len(x), size=nodes)
    state = np.tile(detector.initial_state, (nodes, 1))
    taken_ms = []
    for step in range(WARM_UP + steps):
        rows = x[(place + step) % len(x)]
        elapsed = np.full(nodes, STEP_SECONDS if step else 0.0, np.float32)
        began = time.process_time()
        state = detector.step(rows, elapsed, state).next_state
        taken_ms.append(1000 * (time.process_time() - began))
    return taken_ms[WARM_UP:]


def report(costs: Sequence[Cost]) -> list[str]:
    """A Markdown table."""
    lines = [
        "| detector | step, ms: median / worst | state of a node, bytes | model file, bytes |",
        "| --- | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {one.name} | {one.step_ms:.1f} / {one.worst_ms:.1f} | {one.state_bytes:,} | {one.model_bytes:,} |"
        for one in costs
    ]
    lines.append(f"| goal for {DEFAULT} | ≤ {GOAL_MS:.0f} | ≤ {GOAL_STATE_BYTES:,} | |")
    return lines


if __name__ == "__main__":
    main()
