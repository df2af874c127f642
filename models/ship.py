"""Trains a model that ships: `python -m models.ship CATALOGUE DETECTOR`.

It learns from the nodes of the recorded sessions that teach (`models.scenarios.known`); the others judge it, and judge
what a cluster retrains. Writes the model and its card to `models/shipped`. Costs seconds to minutes.
"""

from __future__ import annotations

import argparse
import time

from models import train
from models.detectors import DETECTORS
from models.scenarios import known
from receiver import catalogue, registry
from receiver.errors import DataError
from receiver.settings import SHIPPED_CATALOGUES, shipped_catalogue


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m models.ship", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("catalogue", choices=SHIPPED_CATALOGUES)
    parser.add_argument("detector", choices=list(DETECTORS))
    given = parser.parse_args()
    of = catalogue.load(shipped_catalogue(given.catalogue))
    teaching = known.of(of, "train")
    if teaching is None:
        raise DataError(f"no session is recorded with the catalogue {of.name}")
    model, found = train.fit(teaching.table, given.detector, train.DEFAULT_FALSE_ALERTS_PER_NODE_DAY, "budget")
    data = {"file": "the recorded sessions, nodes that teach"} | train.describe_rows(teaching.table)
    card = train.finish(model, given.detector, time.time_ns() // 1_000_000, found | {"data": data})
    train.write(model, card, registry.shipped_model(of.name))
    print(card["version"])


if __name__ == "__main__":
    main()
