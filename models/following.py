"""The state after a row, at the cost of what usually happens.

    does any node reach the level of an event? ─┬─ no ──▶ usual columns ───────┬─▶ next state
                                                └─ yes ─▶ columns of any row ──┘

In: a graph under construction, and what follows in parts of the state. Out: the next state [N, S]. Costs five
operators beside those of one side.

An hour ends once in hundreds of rows and alerts are rare, but what they ask for would be a third of a step: only steps
with one of them compute it. The other nodes of such a step come to the same by both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from models.graph import Graph

Columns = Callable[[Graph], tuple[str, ...]]  # writes tensors [N, ·] that stand side by side in the state


@dataclass(frozen=True, slots=True)
class Event:
    """What happens where a tensor [N, 1] is at a level or above."""

    tensor: str
    level: float


@dataclass(frozen=True, slots=True)
class Following:
    """What follows in a part of the state."""

    usual: Columns  # where there is no event
    any: Columns  # of any row
    events: tuple[Event, ...] = ()


def next_state(graph: Graph, parts: Sequence[Following]) -> str:
    """The state [N, S] whose columns are these parts, side by side."""
    events = [event for part in parts for event in part.events]

    def usual(branch: Graph) -> str:
        return _side_by_side(branch, [part.usual for part in parts])

    if not events:
        return usual(graph)
    happened = graph.op("Concat", *(event.tensor for event in events), axis=1)
    most = graph.op("ReduceMax", graph.op("Sub", happened, graph.const([event.level for event in events])), keepdims=0)
    condition = graph.op("GreaterOrEqual", most, graph.const(0))
    return graph.choose(condition, lambda branch: _side_by_side(branch, [part.any for part in parts]), usual)


def _side_by_side(graph: Graph, parts: Sequence[Columns]) -> str:
    return graph.op("Concat", *(tensor for write in parts for tensor in write(graph)), axis=1)
