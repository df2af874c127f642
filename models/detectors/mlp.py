"""A small neural network on the evidence of labelled attacks."""

from __future__ import annotations

from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models.detectors import supervised
from models.detectors.build import Build
from models.table import Table


def fit(rows: Table) -> Build:
    """One hidden layer; few rounds and strong decay, since rows side by side are nearly the same row."""
    network = MLPClassifier(
        hidden_layer_sizes=(16,),
        alpha=1.0,
        batch_size=512,
        max_iter=8,
        n_iter_no_change=8,
        random_state=supervised.SEED,
    )
    return supervised.fit(rows, [make_pipeline(StandardScaler(), network)])
