"""`nodescore train`, `score`: models on any table, off-line. Needs the extra `train`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from receiver.cli import options
from receiver.cli.extras import needing
from receiver.cli.places import check_file
from receiver.cli.progress import progress
from receiver.errors import DataError

# What the extra installs; a missing module of another name is a mistake of ours and shows as one.
EXTRA_MODULES = ("matplotlib", "models", "onnx", "pyarrow", "scipy", "skl2onnx", "sklearn")

DataOption = Annotated[
    Path,
    typer.Option(
        "--data", help="CSV, Parquet or a folder of it: time, node, feature columns, and attack (0 or 1) where known."
    ),
]
ModelOption = Annotated[
    Path | None,
    typer.Option(
        "--model", help="ONNX file. [default: the one set, or what ships for the catalogue]", show_default=False
    ),
]


class Objective(StrEnum):
    """How the threshold is found."""

    budget = "budget"
    accuracy = "accuracy"


def train(
    data: DataOption,
    out: Annotated[Path, typer.Option(help="ONNX file to write; its card goes beside it as .json.")],
    detector: Annotated[
        str | None,
        typer.Option(
            help="auto, zscore, robust_z, mean_z2, pca, agreement, isolation_forest, autoencoder; with labels also "
            "random_forest, gradient_boosting, mlp. [default: auto, which learns from labels where there are some]",
            show_default=False,
        ),
    ] = None,
    false_alerts_per_node_day: Annotated[
        float | None, typer.Option(help="The budget that the threshold keeps. [default: 0.1]", show_default=False)
    ] = None,
    objective: Annotated[
        Objective, typer.Option(help="accuracy: the threshold that is right for most rows; needs labels.")
    ] = Objective.budget,
) -> None:
    """Train a model on a table, and find its alarm threshold on the table's later part.

    Rows with attack = 1 are left out of what is normal. For a model that serves, train on what `export --inputs`
    writes.

        nodescore export normal.csv --inputs --since -7d

        nodescore train --data normal.csv --out model.onnx --false-alerts-per-node-day 0.1
    """
    if objective is Objective.accuracy and false_alerts_per_node_day is not None:
        raise DataError("--false-alerts-per-node-day and --objective accuracy are two thresholds; say one")
    check_file(out)
    with needing("train", EXTRA_MODULES):
        from models.train import train as run

        with advancing("training") as advance:
            card = run(
                data,
                out,
                created_ms=int(time.time() * 1000),
                detector=detector,
                false_alerts_per_node_day=false_alerts_per_node_day,
                objective=objective.value,
                progress=advance,
            )
    typer.echo(f"{out}: {card['detector']} {card['version']}, {len(card['features'])} features")
    _figures(card["provenance"]["threshold"])


def score(
    data: DataOption,
    out: Annotated[Path, typer.Option(help="CSV to write: time, node, score, contribution_<feature> …")],
    model: ModelOption = None,
) -> None:
    """Score every row of a table, each by the rows up to it only. A score over 1.0 is anomalous.

    nodescore score --data test.csv --model model.onnx --out scores.csv
    """
    from receiver.registry import for_tables

    check_file(out)
    settings, catalogue = options.load(None, model=model)
    with needing("train", EXTRA_MODULES):
        from models.score import score as run

        with advancing("scoring") as advance:
            rows = run(data, for_tables(settings, catalogue), out, progress=advance)
    typer.echo(f"{out}: {rows} rows")


@contextmanager
def advancing(text: str) -> Iterator[Callable[[int, int], None]]:
    """A bar for a function that tells rows done and rows in all, over several rounds."""
    with progress(1.0, text) as advance:
        shown = 0.0

        def tell(done: int, total: int) -> None:
            nonlocal shown
            advance(done / max(total, 1) - shown)
            shown = done / max(total, 1)

        yield tell


def _figures(figures: dict[str, object]) -> None:
    """A line for each figure; what could not be measured is not shown."""
    for name, value in figures.items():
        if isinstance(value, float):
            typer.echo(f"  {name.replace('_', ' '):<36} {value:.4g}")
        elif value is not None:
            typer.echo(f"  {name.replace('_', ' '):<36} {value}")
