"""The detectors, by name. Each is one file with one function.

`fit(rows)` learns from the rows of a `Table`, labels included where there are any, and gives a `Build`: what makes
the ONNX graph for an alarm threshold, in the detector's own measure, that becomes 1.0. Unsupervised detectors read
the normal rows only; `auto`, the default, learns from labels where there are some.
"""

from __future__ import annotations

from collections.abc import Callable

from models.detectors import (
    agreement,
    auto,
    autoencoder,
    gradient_boosting,
    isolation_forest,
    mean_z2,
    mlp,
    pca,
    random_forest,
    robust_z,
    zscore,
)
from models.detectors.build import Build
from models.table import Table

DETECTORS: dict[str, Callable[[Table], Build]] = {
    "auto": auto.fit,
    "zscore": zscore.fit,
    "robust_z": robust_z.fit,
    "mean_z2": mean_z2.fit,
    "pca": pca.fit,
    "agreement": agreement.fit,
    "isolation_forest": isolation_forest.fit,
    "autoencoder": autoencoder.fit,
    "random_forest": random_forest.fit,
    "gradient_boosting": gradient_boosting.fit,
    "mlp": mlp.fit,
}
DEFAULT = "auto"
NEED_LABELS = frozenset({"random_forest", "gradient_boosting", "mlp"})
