"""Models that several tests look at, trained once in a run of the tests, by whichever of its processes comes first."""

from __future__ import annotations

import fcntl
from dataclasses import replace
from functools import cache

import numpy as np
import onnx

from models.detectors import DETECTORS
from models.run import probe
from models.table import Table
from models.train import fit
from receiver.detector import Detector
from tests.models.nodes import table
from tests.shared_folder import shared_folder

LEARNERS = ("random_forest", "gradient_boosting", "mlp")


@cache
def trained(name: str, missing: tuple[str, ...] = ("lis_conn",)) -> onnx.ModelProto:
    """A detector trained on made-up nodes: thirty calm ones, or four attacked ones where it needs labels.

    Many nodes for an hour, since training takes as long for one node as for many, and three times as long for three.
    """
    path = shared_folder() / f"{'-'.join([name, *missing])}.onnx"
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            calm = table(nodes=30, seconds=3600, step=5, missing=missing, busy_spread=2)
            model, _ = fit(attacked(missing) if name in LEARNERS else calm, name, 0.1, "budget")
            path.write_bytes(model.SerializeToString())
        return onnx.load(path)


def attacked(missing: tuple[str, ...] = ()) -> Table:
    """Four nodes, with four attacks each in two hours."""
    whole = table(nodes=4, seconds=7200, step=10, missing=missing, busy_spread=2)
    attack = np.zeros(len(whole), bool)
    seconds = (whole.time_ms - whole.time_ms[0]) / 1000
    for begins in (1000, 2600, 4600, 6400):
        attack |= (seconds >= begins) & (seconds < begins + 240)
    under = table(nodes=4, seconds=7200, step=10, missing=missing, busy_spread=2, attack=(0, 7200))
    x = np.where(attack[:, None], under.x, whole.x)
    return replace(whole, x=x, attack=attack)


@cache
def detector(name: str) -> Detector:
    """The same, loaded."""
    return probe(trained(name))


ALL = tuple(DETECTORS)
