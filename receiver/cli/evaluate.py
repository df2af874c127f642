"""`nodescore evaluate`: what a model would have said, of a table or of the last days of the store.

Needs the extra `train`.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from receiver.cli import options
from receiver.cli.evaluate_report import lines
from receiver.cli.extras import needing
from receiver.cli.models import EXTRA_MODULES, advancing
from receiver.cli.places import check_file
from receiver.cli.shown import one_line
from receiver.cli.stores import reading
from receiver.errors import DataError
from receiver.web.instants import format_instant

if TYPE_CHECKING:
    from models.backtest import Watched
    from models.run import Progress
    from receiver.catalogue import Catalogue
    from receiver.detector import Detector
    from receiver.settings import Settings

DEFAULT_DAYS = 7.0
DAY_MS = 86_400_000
MOST_DAYS = 36_500  # a century: further back than any row


def evaluate(
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="CSV or Parquet: time, node, feature columns, and attack (0 or 1). [default: the store's last days]",
            show_default=False,
        ),
    ] = None,
    days: Annotated[
        float | None, typer.Option(help="Of the store, up to now. [default: 7]", show_default=False)
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="PNG file to draw: scores over time, alerts, labels.", show_default=False)
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="All figures and every alert as one JSON object.")] = False,
    model: options.ModelOption = None,
    data_dir: options.DataDirOption = None,
    store: options.StoreOption = None,
    config: options.ConfigOption = None,
) -> None:
    """Measure a model on the rows and labels of the store, or of a table: attacks found, delays, false alerts.

    The model runs over the rows as it would have in service, every node beginning as a new one. Rows that no label
    calls an attack count as normal.

        nodescore evaluate --days 7 --picture week.png

        nodescore evaluate --model candidate.onnx --store postgresql://…

        nodescore evaluate --data test.csv --model model.onnx --json
    """
    from receiver.registry import for_tables, in_use

    if data is not None and (days, data_dir, store) != (None, None, None):
        raise DataError("--data is one source of rows; --days, --data-dir and --store name another: say one")
    if days is not None and not 0 < days <= MOST_DAYS:
        raise DataError(f"--days: must be more than 0, and {MOST_DAYS:,} at most")
    if picture is not None:
        check_file(picture)
    settings, catalogue = options.load(config, data_dir=data_dir, store=store, model=model)
    with needing("train", EXTRA_MODULES):
        from models import evaluate as evaluation

        if picture is not None:
            from models import backtest_picture
        from receiver.detector import Detector

        with advancing("evaluating") as advance:
            if data is not None:
                detector = Detector.load(for_tables(settings, catalogue))
                watched = evaluation.watch(data, detector, advance)
            else:
                detector = in_use(settings, catalogue)
                watched = _stored(settings, catalogue, detector, days or DEFAULT_DAYS, advance)
        found = evaluation.figures(watched, detector.info)
        if picture is not None:
            backtest_picture.draw(watched, found, picture)
    typer.echo(json.dumps(found, indent=2, allow_nan=False) if json_ else "\n".join(map(one_line, lines(found))))


def _stored(
    settings: Settings, catalogue: Catalogue, detector: Detector, days: float, advance: Progress
) -> list[Watched]:
    """The nodes of the store with rows in the last days."""
    from models.backtest import watch

    now_ms = int(time.time() * 1000)
    since_ms = now_ms - int(days * DAY_MS)
    with reading(settings, catalogue) as reader:
        watched = watch(reader, detector, since_ms, now_ms, advance)
    if not watched:
        raise DataError(f"the store has no scored row since {format_instant(since_ms)}; --days reaches further back")
    return watched
