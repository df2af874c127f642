"""What both stores do with a label: check it, know it again, and turn it into columns and back.

`check` raises `DataError` for a label that cannot be meant, or that Postgres would refuse; `require_newest` raises
`NotFound` for a revision of no label, and `Conflict` where it does not follow the newest one.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from receiver.columns import NodeName
from receiver.errors import Conflict, DataError, NotFound
from receiver.store import texts
from receiver.store.protocol import Label, Moment

# Long enough for a report of an incident, short enough to show and to index.
MAX_TEXT_CHARACTERS = 10_000
# Of a SHA-256 in hexadecimal: 128 bits, by which no two labels meet.
KEY_CHARACTERS = 32


def check(label: Label) -> None:
    """Refuse a label that ends before it starts, names no node, or has text that cannot be stored."""
    if label.end_ms < label.start_ms:
        raise DataError("label: ends before it starts")
    if not label.name.node:
        raise DataError("label: names no node")
    said = {
        "cluster": label.name.cluster,
        "node": label.name.node,
        "details": label.details,
        "author": label.author,
    }
    for name, text in said.items():
        texts.check(f"label: {name}", text, MAX_TEXT_CHARACTERS)


def digest(label: Label) -> str:
    """Equal for revisions that say the same; one that is passed on twice is known by it."""
    said = [*label.name, label.start_ms, label.end_ms, label.attack, label.verdict, label.details, label.author]
    said.append(label.created_ms)
    if label.revision > 1:
        said += [label.key, label.revision, label.withdrawn]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def key_of(label: Label) -> str:
    """The label's key: that of its first revision follows from what it says, so that it is the same in every store."""
    return label.key if label.revision > 1 else digest(label)[:KEY_CHARACTERS]


def require_newest(label: Label, newest: Label | None) -> None:
    """Refuse a revision that does not follow the newest one."""
    if newest is None:
        raise NotFound(f"there is no label {label.key!r}")
    if newest.revision + 1 != label.revision:
        raise Conflict(
            f"label {label.key}: revision {newest.revision} holds now, not {label.revision - 1}: {newest.author} "
            f"{'withdrew it' if newest.withdrawn else f'says {newest.verdict or _kind(newest)}: {newest.details!r}'}"
        )


def columns(label: Label) -> tuple[Any, ...]:
    """As stored.

    (digest, cluster, node, start, end, attack, verdict, details, author, created, score, model, moment, key,
    revision, withdrawn)
    """
    return (
        digest(label),
        label.name.cluster,
        label.name.node,
        label.start_ms,
        label.end_ms,
        label.attack,
        label.verdict,
        label.details,
        label.author,
        label.created_ms,
        label.score,
        label.model_version,
        None if label.moment is None else _moment_text(label.moment),
        key_of(label),
        label.revision,
        label.withdrawn,
    )


def from_columns(row: Sequence[Any]) -> Label:
    """As read.

    From (cluster, node, start, end, attack, verdict, details, author, created, id, score, model, moment, key,
    revision, withdrawn).
    """
    *said, id_, score, model, seen, key, revision, withdrawn = row
    cluster, node, start_ms, end_ms, attack, verdict, details, author, created_ms = said
    return Label(
        name=NodeName(cluster, node),
        start_ms=start_ms,
        end_ms=end_ms,
        attack=bool(attack),
        verdict=verdict,
        details=details,
        author=author,
        created_ms=created_ms,
        id=id_,
        score=score,
        model_version=model,
        moment=None if seen is None else _moment_of(seen),
        key=key,
        revision=revision,
        withdrawn=bool(withdrawn),
    )


def with_score(label: Label, score: float | None, model_version: str, moment: Moment) -> Label:
    """The label with the score that its interval had."""
    return label if score is None else replace(label, score=score, model_version=model_version, moment=moment)


def moment(time_ms: int, features: Sequence[str], x: Iterable[float], contribution: Iterable[float] | None) -> Moment:
    """A stored row's vectors, of float32."""
    shares = None if contribution is None else _numbers(contribution)
    return Moment(time_ms, tuple(features), _numbers(x), shares)


def _numbers(values: Iterable[float]) -> tuple[float | None, ...]:
    # As text, a float32 has the fewest digits that tell it from its neighbours; as a float it would have sixteen.
    return tuple(float(str(np.float32(value))) if math.isfinite(value) else None for value in values)


def _moment_text(moment: Moment) -> str:
    said = {"time_ms": moment.time_ms, "features": moment.features, "x": moment.x, "contribution": moment.contribution}
    return json.dumps(said, separators=(",", ":"), allow_nan=False)


def _moment_of(text: str | bytes) -> Moment | None:
    """None for one that was damaged: what the label says holds without it."""
    try:
        said = json.loads(text)
        contribution = said["contribution"]
        return Moment(
            said["time_ms"],
            tuple(said["features"]),
            tuple(said["x"]),
            None if contribution is None else tuple(contribution),
        )
    except (ValueError, KeyError, TypeError):
        return None


def _kind(label: Label) -> str:
    return "attack" if label.attack else "normal"
