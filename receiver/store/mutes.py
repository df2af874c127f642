"""What both stores keep of mutes: entries that say until when a node's alerts stay quiet, who said so, and why.

Of a node's entries the one that was made last holds; a mute is ended by another entry that ends at once. So entries of
several replicas come to the same whatever their order, nothing of one ever changes, and the history is what they are.
`check` raises `DataError` for an entry that cannot be meant, or that Postgres would refuse.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from receiver.columns import NodeName
from receiver.errors import DataError
from receiver.store import texts

# A mute bridges the time until a false alarm's label was learnt from, which is weekly at most; a longer one would be
# forgotten, and hide an attack.
MAX_MUTE_MS = 7 * 24 * 3_600_000
# As many as a fleet's nodes, each muted and ended, in 10 MB.
MUTES_READ = 20_000
MAX_REASON_CHARACTERS = 2000
MAX_NAME_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class Mute:
    """An entry: from `at_ms` on, the alerts are quiet until `until_ms`; where both are the same, it ends a mute."""

    name: NodeName
    until_ms: int
    reason: str
    author: str
    at_ms: int

    def holds(self, now_ms: int) -> bool:
        """Whether the node is muted now, if no later entry says something else; one of a clock ahead counts already."""
        return self.until_ms > max(now_ms, self.at_ms)


def check(mute: Mute) -> None:
    """Refuse an entry that lasts too long, names no node, or has text that cannot be stored."""
    if not 0 <= mute.until_ms - mute.at_ms <= MAX_MUTE_MS:
        raise DataError("mute: lasts for more than 7 days, or ends before it begins")
    if not mute.name.node:
        raise DataError("mute: names no node")
    said = {
        "cluster": (mute.name.cluster, MAX_NAME_CHARACTERS),
        "node": (mute.name.node, MAX_NAME_CHARACTERS),
        "author": (mute.author, MAX_NAME_CHARACTERS),
        "reason": (mute.reason, MAX_REASON_CHARACTERS),
    }
    for name, (text, most) in said.items():
        texts.check(f"mute: {name}", text, most)


def latest(entries: Iterable[Mute]) -> dict[NodeName, Mute]:
    """Of each node the entry that was made last."""
    last: dict[NodeName, Mute] = {}
    for mute in entries:
        before = last.get(mute.name)
        if before is None or _order(mute) > _order(before):
            last[mute.name] = mute
    return last


def following(before: Mute | None, name: NodeName, for_ms: int, reason: str, author: str, now_ms: int) -> Mute:
    """An entry of now that is later than the one before it, also where that was made by a clock ahead of ours."""
    at_ms = now_ms if before is None else max(now_ms, before.at_ms + 1)
    return Mute(name, at_ms + for_ms, reason, author, at_ms)


def digest(mute: Mute) -> str:
    """Equal for entries that say the same; one that is passed on twice is known by it."""
    return hashlib.sha256(json.dumps(astuple(mute)).encode()).hexdigest()


def columns(mute: Mute) -> tuple[Any, ...]:
    """(digest, cluster, node, until, reason, author, at)."""
    return (digest(mute), *mute.name, mute.until_ms, mute.reason, mute.author, mute.at_ms)


def from_columns(row: Sequence[Any]) -> Mute:
    """From (cluster, node, until, reason, author, at)."""
    cluster, node, until_ms, reason, author, at_ms = row
    return Mute(NodeName(cluster, node), until_ms, reason, author, at_ms)


def _order(mute: Mute) -> tuple[int, int, str, str]:
    """Of two entries of one moment, everybody must take the same."""
    return mute.at_ms, mute.until_ms, mute.reason, mute.author
