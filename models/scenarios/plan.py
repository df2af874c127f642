"""When which node is attacked how: a plan by its seed, made before anything runs.

In: a seed, the nodes' names, a length. Out: a `Plan`: a first part in which no node is attacked, then episodes in
complete rounds, each kind once a round, on changing nodes and with changing strengths, never two on one node at once
and each with quiet time around it, so that a node comes back to itself. The same seed gives the same plan. Raises
`DataError` where the time is too short for a single round.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from models.scenarios.attacks import KINDS, Kind
from receiver.errors import DataError

QUIET_SECONDS = 45  # at least, between two episodes of a node
NORMAL_SHARE = 0.2  # of a session, before the first attack
LARGEST_ATTACK_SHARE = 0.4  # of a node's time
TAIL_SECONDS = 30  # after the last episode
MOST_ROUNDS = 1000  # more than any session has time for


@dataclass(frozen=True)
class Episode:
    """An attack on a node."""

    node: str
    kind: str
    strength: float  # in the kind's unit
    start_seconds: float  # since the session began
    seconds: int


@dataclass(frozen=True)
class Plan:
    """A session."""

    seed: int
    nodes: tuple[str, ...]
    seconds: float
    episodes: tuple[Episode, ...]  # by start


@dataclass(frozen=True)
class _Card:
    kind: Kind
    strength: float
    seconds: int


def single(kind: str, strength: float, seconds: int, before_seconds: float, after_seconds: float) -> Plan:
    """One episode on one node."""
    episode = Episode("node-0", kind, strength, before_seconds, seconds)
    return Plan(0, ("node-0",), before_seconds + seconds + after_seconds, (episode,))


def plan(
    seed: int,
    nodes: Sequence[str],
    minutes: float,
    most_rounds: int = MOST_ROUNDS,
    kinds: Mapping[str, Kind] = KINDS,
) -> Plan:
    """As many rounds of all kinds as there is time for, or so many: then the more time, the more of it is quiet."""
    seconds = 60 * minutes
    first = NORMAL_SHARE * seconds
    chance = random.Random(seed)  # noqa: S311 - a plan shall come out the same again
    decks: dict[str, list[_Card]] = {node: [] for node in nodes}
    rounds = 0
    while rounds < most_rounds:
        dealt = _deal(chance, nodes, rounds, decks, list(kinds.values()))
        if not all(_fits(deck, seconds, seconds - first - TAIL_SECONDS) for deck in dealt.values()):
            break
        decks, rounds = dealt, rounds + 1
    if not rounds:
        raise DataError(
            f"{minutes:g} minutes with {len(nodes)} nodes hold no round of all {len(kinds)} kinds of attack"
        )
    episodes = [
        episode
        for node, deck in decks.items()
        for episode in _placed(chance, node, deck, first, seconds - first - TAIL_SECONDS)
    ]
    return Plan(seed, tuple(nodes), seconds, tuple(sorted(episodes, key=lambda one: one.start_seconds)))


def _deal(
    chance: random.Random, nodes: Sequence[str], number: int, decks: dict[str, list[_Card]], kinds: Sequence[Kind]
) -> dict[str, list[_Card]]:
    """A round more: every kind goes to the node with the least so far, of those that had this kind least often."""
    dealt = {node: list(deck) for node, deck in decks.items()}
    shuffled = list(kinds)
    chance.shuffle(shuffled)
    for kind in shuffled:
        # Another strength at every place, so that no kind is always strong in the same round.
        strength = kind.strengths[(number + kinds.index(kind)) % len(kind.strengths)]
        card = _Card(kind, strength, chance.randint(*kind.seconds))
        order = [(len(dealt[n]), sum(c.kind is kind for c in dealt[n]), chance.random(), n) for n in nodes]
        dealt[min(order)[3]].append(card)
    return dealt


def _fits(deck: list[_Card], whole_seconds: float, usable_seconds: float) -> bool:
    attacked = sum(card.seconds for card in deck)
    quiet = QUIET_SECONDS * len(deck)
    return attacked <= LARGEST_ATTACK_SHARE * whole_seconds and attacked + quiet <= usable_seconds


def _placed(chance: random.Random, node: str, deck: list[_Card], first: float, usable: float) -> list[Episode]:
    """The deck in a random order, what time is left over cut at random places between the episodes."""
    chance.shuffle(deck)
    slack = usable - sum(card.seconds + QUIET_SECONDS for card in deck)
    cuts = sorted(chance.uniform(0, slack) for _ in deck)
    start, episodes = first, []
    for card, cut in zip(deck, cuts, strict=True):
        episodes.append(Episode(node, card.kind.name, card.strength, start + cut, card.seconds))
        start += card.seconds + QUIET_SECONDS
    return episodes
