"""What every detector's `fit` gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx

from models.own_threshold import Alarm
from models.table import Table


@dataclass(frozen=True, slots=True)
class Build:
    """A fitted detector that lacks only its threshold."""

    at: Callable[[Alarm], onnx.ModelProto]  # the graph whose 1.0 is this alarm
    least: float = 0.0  # no threshold below this means anything, however calm the data is
    even: float | None = None  # the threshold at which both kinds of rows are as likely, where learners know it
    # No threshold above this is needed, where learners know it: nine in ten labelled attacks on nodes left out raise
    # alerts at it. A tail that few quiet hours gave may reach further, to where no attack is seen. It is no reason to
    # go below a score that normal rows had.
    most: float | None = None
    # The same fitted anew to other rows, where what judging its parts has told holds for those too. Raises `DataError`.
    again: Callable[[Table], Build] | None = None
