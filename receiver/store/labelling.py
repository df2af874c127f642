"""What both stores do with a label: check it, know it again, and turn it into columns and back.

`check` raises `DataError` for a label that cannot be meant, or that Postgres would refuse.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from receiver.columns import NodeName
from receiver.errors import DataError
from receiver.store.protocol import Label

# Long enough for a report of an incident, short enough to show and to index.
MAX_TEXT_CHARACTERS = 10_000


def check(label: Label) -> None:
    """Refuse a label that ends before it starts, names no node, or has text that cannot be stored."""
    if label.end_ms < label.start_ms:
        raise DataError(f"label: ends ({label.end_ms} ms) before it starts ({label.start_ms} ms)")
    if not label.name.node:
        raise DataError("label: names no node")
    texts = {
        "cluster": label.name.cluster,
        "node": label.name.node,
        "details": label.details,
        "author": label.author,
    }
    for name, text in texts.items():
        if len(text) > MAX_TEXT_CHARACTERS:
            raise DataError(f"label: {name} has {len(text)} characters; {MAX_TEXT_CHARACTERS} are allowed")
        if "\x00" in text or any(0xD800 <= ord(character) <= 0xDFFF for character in text):
            raise DataError(f"label: {name} has a NUL or half of a surrogate pair, which is no text")


def digest(label: Label) -> str:
    """Equal for labels that say the same; a label that is passed on twice is known by it."""
    said = (*label.name, label.start_ms, label.end_ms, label.attack, label.verdict, label.details, label.author)
    return hashlib.sha256(json.dumps([*said, label.created_ms]).encode()).hexdigest()


def columns(label: Label) -> tuple[Any, ...]:
    """(digest, cluster, node, start, end, attack, verdict, details, author, created, score, model)."""
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
    )


def from_columns(row: Sequence[Any]) -> Label:
    """From (cluster, node, start, end, attack, verdict, details, author, created, id, score, model)."""
    cluster, node, start_ms, end_ms, attack, *others = row
    return Label(NodeName(cluster, node), start_ms, end_ms, bool(attack), *others)


def with_score(label: Label, score: float | None, model_version: str) -> Label:
    """The label with the score that its interval had."""
    return label if score is None else replace(label, score=score, model_version=model_version)
