"""How the parts of a running service are, in words for its operator."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Component(NamedTuple):
    """How one part of the service is."""

    name: str
    # degraded: samples are still taken and scored, but something is not as it should be. down: they are not taken.
    state: Literal["ok", "degraded", "down"]
    text: str  # one line for the operator
