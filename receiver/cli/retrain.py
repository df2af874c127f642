"""`nodescore retrain`: a new version of the model, from the store and what operators have said.

Needs the extra `train`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from receiver.cli import options
from receiver.cli.extras import needing
from receiver.cli.models import EXTRA_MODULES
from receiver.cli.stores import reading
from receiver.errors import DataError, Unavailable

if TYPE_CHECKING:
    from models.retraining.run import Outcome

DAY_MS = 86_400_000


def retrain(
    days: Annotated[float, typer.Option(help="Of the store, up to now.")] = 30.0,
    keep: Annotated[bool, typer.Option("--keep", help="Only add the candidate; promote nothing.")] = False,
    detector: Annotated[str, typer.Option(help="As for `train`.")] = "auto",
    false_alerts_per_node_day: Annotated[float, typer.Option(help="The budget that the threshold keeps.")] = 0.1,
    data_dir: options.DataDirOption = None,
    store: options.StoreOption = None,
    config: options.ConfigOption = None,
) -> None:
    """Train on the rows and labels of the store, hold the new model against the active one, and go on with the better.

    The new version is promoted only where it is not worse: on recorded attacks that it has not learnt from, on the
    store's last rows, on what operators have marked. It is kept with the reasons either way; running services follow a
    promotion in 10 s.

        nodescore retrain --days 30

        nodescore retrain --keep --store postgresql://…
    """
    from receiver.registry import opened

    settings, catalogue = options.load(config, data_dir=data_dir, store=store)
    now_ms = time.time_ns() // 1_000_000
    if not 0 < days * DAY_MS < now_ms:
        raise DataError("--days: must be more than 0, and reach back to 1970 at most")
    with needing("train", EXTRA_MODULES):
        from models.retraining.run import Plan
        from models.retraining.run import retrain as run

        plan = Plan(
            since_ms=now_ms - int(days * DAY_MS),
            now_ms=now_ms,
            detector=detector,
            false_alerts_per_node_day=false_alerts_per_node_day,
            promote=not keep,
        )
        with (
            opened(settings, catalogue) as guard,
            guard.training() as alone,
            reading(settings, catalogue) as reader,
            opened(settings, catalogue) as models,
        ):
            if not alone:
                raise Unavailable("another retraining of this store runs; it will be done in minutes")
            outcome = run(reader, models, catalogue, plan, typer.echo)
    _tell(outcome)


def _tell(outcome: Outcome) -> None:
    for line in outcome.verdict.compared:
        holds = "holds" if line.holds else "WORSE"
        typer.echo(f"  {line.measure:<60} {line.candidate:>8.3g}  active {line.active:>8.3g}  {holds}")
    version = outcome.version.version
    if outcome.promoted:
        typer.echo(f"{version} is active now; services follow within 10 s")
    elif outcome.verdict.promote:
        typer.echo(f"{version} may follow; `nodescore models activate {version}` has it score")
    else:
        typer.echo(f"{version} is refused: {'; '.join(outcome.verdict.reasons)}")
