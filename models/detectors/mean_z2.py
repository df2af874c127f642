"""The mean over features of the squared deviation from the node's own baseline, in the frame."""

from __future__ import annotations

import numpy as np

from models import scales
from models.detectors.build import Build
from models.frame import Scales, Times, framed, smoother
from models.run import probe, run
from models.table import Table

# Half-life of the score in rows, so that a few rows make it, and its bounds in seconds.
SCORE_HALF_LIFE_ROWS = 5
SCORE_HALF_LIFE_SECONDS = (10.0, 300.0)
# Half as much again as features of known direction, one standard deviation lively, have anyway.
LEAST_THRESHOLD = 0.75


def fit(rows: Table) -> Build:
    """Scales of the normal rows, and how long a score lasts."""
    fitted, times = frame_of(rows.normal())
    return Build(lambda alarm: framed(fitted, times, alarm, lambda _, deviations: deviations), LEAST_THRESHOLD)


def frame_of(normal: Table) -> tuple[Scales, Times]:
    """The frame's parameters, by normal rows."""
    smooth = run(probe(smoother(scales.blank(normal))), normal).contribution
    seconds = normal.row_seconds()
    half_life = np.clip(SCORE_HALF_LIFE_ROWS * np.median(seconds), *SCORE_HALF_LIFE_SECONDS)
    return scales.fit(normal, smooth.astype(np.float64), seconds), Times(float(half_life))
