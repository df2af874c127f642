"""What the web layer needs from the running service, and nothing more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from receiver.catalogue import Catalogue
from receiver.columns import Scores
from receiver.exposition import Exposition
from receiver.health import Component


class Service(Protocol):
    """The methods are called from worker threads, several at a time; none from the event loop."""

    @property
    def exposition(self) -> Exposition:
        """With the current snapshot."""

    @property
    def catalogue(self) -> Catalogue:
        """For the features' descriptions."""

    def now_ms(self) -> int:
        """The service's clock."""

    def status(self) -> list[Component]:
        """Every part that an operator may have to look after; quick, asks no server."""

    def history(self, since_ms: int, until_ms: int, nodes: Sequence[int]) -> Scores:
        """Scores of these nodes with since ≤ time < until, by time; raises `StoreUnavailable`."""

    def reload(self) -> str:
        """Load the model again; the line to answer. Raises `ConfigurationError` and then keeps the one before."""
