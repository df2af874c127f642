"""What the web layer needs from the running service, and nothing more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from receiver.catalogue import Catalogue
from receiver.columns import Scores
from receiver.exposition import Exposition
from receiver.feedback import Feedback
from receiver.health import Component
from receiver.muting import Mutes
from receiver.registry import Listed
from receiver.settings import Settings
from receiver.store import Activation, Shadowing


class Service(Protocol):
    """The methods are called from worker threads, several at a time; none from the event loop."""

    @property
    def settings(self) -> Settings:
        """Which store it uses."""

    @property
    def exposition(self) -> Exposition:
        """With the current snapshot."""

    @property
    def catalogue(self) -> Catalogue:
        """For the features' descriptions."""

    @property
    def feedback(self) -> Feedback:
        """What operators have said, and what was scored then."""

    @property
    def mutes(self) -> Mutes:
        """Which nodes' alerts are muted."""

    def now_ms(self) -> int:
        """The service's clock."""

    def status(self) -> list[Component]:
        """Every part that an operator may have to look after; quick, asks no server."""

    def history(self, since_ms: int, until_ms: int, nodes: Sequence[int]) -> Scores:
        """Scores of these nodes with since ≤ time < until, by time; raises `StoreUnavailable`."""

    def reload(self) -> str:
        """Load the model again; the line to answer. Raises `ConfigurationError` and then keeps the one before."""

    def models(self) -> list[Listed]:
        """All versions of the model; raises `StoreUnavailable`."""

    def activations(self) -> list[Activation]:
        """Which version was in use from when on; the last entry's is. Raises `StoreUnavailable`."""

    def activate_model(self, version: str, by: str, reason: str, after_id: int | None = None) -> Activation:
        """Have all replicas go on with this version. Raises `ConfigurationError`, and then nothing has changed."""

    def roll_back_model(self, by: str, reason: str, after_id: int | None = None) -> Activation:
        """Have all replicas go back to the version that was active before; raises as `activate_model`."""

    def shadow_model(self, version: str, by: str, reason: str) -> Shadowing:
        """Have all replicas score with this version beside the active one; raises as `activate_model`."""

    def end_shadow(self, version: str, by: str, reason: str) -> Shadowing:
        """Have this version do so no more; raises as `activate_model`."""
