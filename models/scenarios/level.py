"""What is recorded of the nodes: themselves, or the applications or pods that they stand for.

A `Level` says which catalogue scores them, which label names them, how they are attacked, what runs in each of them
beside its node_exporter, and what work they do. `NODES` is the usual one, `UNFAMILIAR` the same with work that no other
session has; `models.scenarios.applications` has the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from models.scenarios import work
from models.scenarios.attacks import KINDS, WEB_PORT, Kind
from models.scenarios.node import Node


@dataclass(frozen=True)
class Service:
    """A program that stays, within the quota of its node's work."""

    name: str
    command: Sequence[str]
    url: str  # it answers there with 200 once it is ready
    scraped: str = ""  # HOST:PORT of its metrics, where it has some
    attacked: bool = False  # an attack may end it
    files: Mapping[str, str] = field(default_factory=dict)  # written into the node before it starts


@dataclass(frozen=True)
class Level:
    """One way to look at the nodes."""

    catalogue: str  # of `receiver.settings.SHIPPED_CATALOGUES`
    label: str  # of the targets, naming what is scored
    kinds: Mapping[str, Kind]
    web_port: int  # the web server's own
    services: Callable[[Node], Sequence[Service]]
    rules: Mapping[str, str]  # recorded series, each with its expression; none where the scraped ones are scored
    roles: Mapping[str, work.Role]


def _web(one: Node) -> list[Service]:
    return [Service("web", work.web_server(), f"http://{one.address}/page0", attacked=True)]


NODES = Level("node24", "node", KINDS, WEB_PORT, _web, {}, work.ROLES)
UNFAMILIAR = replace(NODES, roles=work.UNFAMILIAR_ROLES)
