"""Time and memory of `nodescore retrain` on a large store: `python -m benchmarks.retraining`.

The store is made for it: 30 days of 100 nodes at 10 s, each row one of the recorded quiet ones, walked through from a
place of its own and shifted by a factor of the node's; a hundred labels, half of them false alarms. Then the command
runs as an operator runs it. Out: the wall time, CPU time and highest memory of the command, as the kernel counts them,
and what it said. Writes some 9 GB under `--folder` (default: a temporary one, deleted afterwards), which takes ten
minutes; a store that is there is used again.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.recordings import recorded
from receiver import own_process, registry
from receiver.catalogue import Catalogue, load
from receiver.columns import Float32, NodeName, Rows, Scores
from receiver.settings import Settings
from receiver.store import Finished, Label, NewSeries
from receiver.store.embedded import EmbeddedStore

STEP_MS = 10_000
BLOCK_STEPS = 360  # an hour
LABELS = 100
# How far nodes differ from the recorded ones.
SPREAD_SIGMA = 0.3
SEED = 0


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.retraining", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--days", type=float, default=30)
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--folder", type=Path, help="where the store is made, and stays")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        settings = Settings.model_validate({"data_dir": given.folder or Path(temporary)})
        if not settings.embedded_path.exists():
            began = time.monotonic()
            rows = fill(settings, given.days, given.nodes)
            print(f"{rows} rows written in {time.monotonic() - began:.0f} s", file=sys.stderr)
        measure(settings, given.days)


def measure(settings: Settings, days: float) -> None:
    """Run the command, and print what it took."""
    began = time.monotonic()
    process = subprocess.Popen(
        own_process.command("retrain", ["--days", str(days + 1), "--keep"]),
        env=own_process.environment(settings),
        cwd=own_process.FOLDER,
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    cpu = usage.ru_utime + usage.ru_stime
    print(f"{wall:.0f} s, {cpu:.0f} s of CPU, {usage.ru_maxrss / 1024:.0f} MiB at most")
    if status:
        sys.exit("the command failed")


def fill(settings: Settings, days: float, nodes: int) -> int:
    """Make the store, up to now; how many rows it has."""
    catalogue = load()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    store = EmbeddedStore.open(settings.embedded_path, catalogue)
    names = {number: NodeName("lab", f"node-{number:03}") for number in range(nodes)}
    store.append([], [NewSeries(0, (("__name__", "up"),))], names)
    recorded = quiet(catalogue)
    random = np.random.default_rng(SEED)
    factor = np.exp(SPREAD_SIGMA * random.normal(size=(nodes, 1, recorded.shape[1]))).astype(np.float32)
    start = random.integers(len(recorded), size=(nodes, 1))
    steps = int(days * 86_400_000 / STEP_MS)
    now_ms = time.time_ns() // 1_000_000
    version = registry.shipped_model().stem
    for first in range(0, steps, BLOCK_STEPS):
        step = np.arange(first, min(first + BLOCK_STEPS, steps))
        x = (recorded[(start + step) % len(recorded)] * factor).transpose(1, 0, 2).reshape(-1, recorded.shape[1])
        node = np.tile(np.arange(nodes, dtype=np.int32), len(step))
        time_ms = np.repeat(now_ms - (steps - step) * STEP_MS, nodes)
        score = random.random(len(node), np.float32) * 0.9
        rows = Rows(node, time_ms, x.astype(np.float64), x)
        scores = Scores(node, time_ms, score, x, np.full_like(x, np.nan))
        store.write(Finished(rows, Rows.empty(x.shape[1]), scores, version, 0))
    label(store, list(names.values()), now_ms - steps * STEP_MS, now_ms)
    store.close()
    return steps * nodes


def quiet(catalogue: Catalogue) -> Float32:
    """Recorded rows without an attack [R, F], node after node."""
    table = recorded("train", catalogue.feature_names).table.normal()
    return table.x[np.lexsort((table.time_ms, table.node))]


def label(store: EmbeddedStore, names: list[NodeName], since_ms: int, until_ms: int) -> None:
    """Say something of a hundred intervals of three minutes."""
    random = np.random.default_rng(SEED + 1)
    for number in range(LABELS):
        start_ms = int(random.integers(since_ms, until_ms - 180_000))
        name = names[int(random.integers(len(names)))]
        attack = number % 2 == 0
        store.add_label(
            Label(name, start_ms, start_ms + 180_000, attack, "TP" if attack else "FP", "", "bench", start_ms)
        )


if __name__ == "__main__":
    main()
