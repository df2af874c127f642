"""Recorded attacks, for what cannot be measured without. Raises `DataError` where they are not there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from models.scenarios import dataset, known
from models.scenarios.known import Known, Side
from receiver.errors import DataError


def recorded(side: Side, features: Sequence[str]) -> Known:
    """The nodes that models learn from, or those that they are tested on, with these features."""
    found = known.read(side, features, dataset.sessions())
    if found is None:
        raise DataError(f"{dataset.DATA}: no recorded sessions with these features")
    return found


def unfamiliar(session: Path, features: Sequence[str]) -> Known:
    """The nodes of a session whose work no shipped model knows, with these features."""
    found = known.read(None, features, [session])
    if found is None:
        raise DataError(f"{session}: not recorded with these features")
    return found
