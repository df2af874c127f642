"""The paper's detector with what outliers cannot move: median and median absolute deviation instead of mean and σ."""

from __future__ import annotations

import numpy as np

from models.detectors import zscore
from models.detectors.build import Build
from models.table import Table

# Of a normal distribution, σ is so many median absolute deviations.
SIGMA_PER_MAD = 1.4826


def fit(rows: Table) -> Build:
    """Median and scaled MAD of the normal rows."""
    names, values, known = zscore.known_values(rows)
    centre = np.nanmedian(values, axis=0)
    return zscore.beyond(names, known, centre, SIGMA_PER_MAD * np.nanmedian(np.abs(values - centre), axis=0))
