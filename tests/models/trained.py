"""Models that several tests look at, trained once."""

from __future__ import annotations

from functools import cache

import onnx

from models.detectors import DETECTORS
from models.run import probe
from models.train import fit
from receiver.detector import Detector
from tests.models.nodes import table


@cache
def trained(name: str, missing: tuple[str, ...] = ("lis_conn",)) -> onnx.ModelProto:
    """A detector trained on ten made-up calm nodes of three hours."""
    return fit(table(nodes=10, seconds=3 * 3600, step=5, missing=missing, busy_spread=2), name, 0.1, "budget")[0]


@cache
def detector(name: str) -> Detector:
    """The same, loaded."""
    return probe(trained(name))


ALL = tuple(DETECTORS)
