"""Versions of the model, and the log of which of them was in use from when on: what both stores keep of them.

A version is a model's file with its card, what it was trained on, and how it was measured; it never changes. What is
active is said by the log alone, whose last entry is it: activating is adding one entry, so there is no moment at which
two versions are active or none. Which one scores in its shadow, to be seen before it is active, another log says in the
same way. All of it is kept by catalogue, since a model is made for one.

`check` and `check_entry` raise `DataError` for what is too large or no text that every store takes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from receiver.errors import DataError
from receiver.settings import MAX_MODEL_BYTES
from receiver.store import texts

# A card has 10 KiB, most of it quantiles of its features; a thousand features have 300 KiB.
MAX_CARD_BYTES = 512 * 1024
# Figures of two models, and the reasons of the gate.
MAX_MEASURES_BYTES = 256 * 1024
MAX_NAME_CHARACTERS = 200
MAX_REASON_CHARACTERS = 2000
# Entries of the log that are read: how far back one can roll.
ACTIVATIONS_READ = 1000


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One model file, and what is known of it."""

    version: str  # as the file names itself
    sha256: str  # of the file, hexadecimal
    size_bytes: int
    card: Mapping[str, Any]
    parent: str  # the version that it was made to follow; "" where there is none
    trained_from_ms: int | None
    trained_until_ms: int | None
    labels: Mapping[str, int]  # how many of each kind it has learnt from
    measures: Mapping[str, Any]  # how it did, and why it may be activated or not
    created_ms: int  # when it was added


@dataclass(frozen=True, slots=True)
class Activation:
    """An entry of the log: from then on this version was in use."""

    version: str
    before: str  # the version until then; "" where there was none
    at_ms: int
    by: str
    reason: str
    rollback: bool  # back to an earlier one; the one before is not returned to by the next roll-back
    id: int = 0  # given by the store, rising


@dataclass(frozen=True, slots=True)
class Shadowing:
    """An entry of the shadow's log: from then on this version scored beside the active one."""

    version: str  # "" where none did
    at_ms: int
    by: str
    reason: str
    id: int = 0  # given by the store, rising


class ModelStore(Protocol):
    """Where the versions of one catalogue are. All methods raise `StoreUnavailable`."""

    def add(self, version: ModelVersion, model: bytes) -> None:
        """Keep a version and its file. Raises `DataError` where one of its name or its hash is there."""

    def versions(self) -> list[ModelVersion]:
        """All, in the order in which they were added."""

    def model(self, version: str) -> bytes | None:
        """The file of a version; None where there is no such version."""

    def remove(self, version: str) -> None:
        """Delete a version and its file."""

    def activations(self, most: int = ACTIVATIONS_READ) -> list[Activation]:
        """The last entries of the log, in their order."""

    def append(self, activation: Activation, after_id: int) -> bool:
        """Add an entry; False, and nothing is done, where the last one is no longer that with this id (0: none)."""

    def training(self) -> AbstractContextManager[bool]:
        """Keep others from training for so long; False where somebody else does. Use this store for nothing else."""

    def shadowing(self) -> Shadowing | None:
        """The last entry of the shadow's log; None where there is none."""

    def append_shadowing(self, entry: Shadowing) -> None:
        """Add an entry to the shadow's log."""

    def close(self) -> None:
        """Give up the file or the connection."""


def check(version: ModelVersion, model: bytes) -> None:
    """Refuse a version that a store may not take."""
    what = f"model {version.version[:MAX_NAME_CHARACTERS]}"
    if len(model) > MAX_MODEL_BYTES:
        raise DataError(f"{what}: {len(model)} bytes; {MAX_MODEL_BYTES} are allowed")
    if not version.version:
        raise DataError("model: has no version")
    texts.check(f"{what}: its version", version.version, MAX_NAME_CHARACTERS)
    texts.check(f"{what}: its parent", version.parent, MAX_NAME_CHARACTERS)
    for name, value, most in (
        ("card", version.card, MAX_CARD_BYTES),
        ("labels", version.labels, MAX_MEASURES_BYTES),
        ("measures", version.measures, MAX_MEASURES_BYTES),
    ):
        if (size := len(to_json(value))) > most:
            raise DataError(f"{what}: its {name} have {size} bytes as JSON; {most} are allowed")


def check_entry(entry: Activation | Shadowing) -> None:
    """Refuse an entry with texts that a store may not take."""
    what = "shadow" if isinstance(entry, Shadowing) else "activation"
    texts.check(f"{what}: its author", entry.by, MAX_NAME_CHARACTERS)
    texts.check(f"{what}: its reason", entry.reason, MAX_REASON_CHARACTERS)


def to_json(value: Mapping[str, Any]) -> str:
    """As both stores keep it: ASCII, so that no odd character is refused by one of them."""
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"model: its card or measures are no JSON: {error}") from None


def version_columns(version: ModelVersion) -> tuple[Any, ...]:
    """(version, sha256, card, parent, trained from, trained until, labels, measures, created)."""
    return (
        version.version,
        version.sha256,
        to_json(version.card),
        version.parent,
        version.trained_from_ms,
        version.trained_until_ms,
        to_json(version.labels),
        to_json(version.measures),
        version.created_ms,
    )


def version_of(row: Sequence[Any]) -> ModelVersion:
    """From (version, sha256, size, card, parent, trained from, trained until, labels, measures, created)."""
    version, sha256, size_bytes, card, parent, trained_from_ms, trained_until_ms, labels, measures, created_ms = row
    return ModelVersion(
        version,
        sha256,
        size_bytes,
        json.loads(card),
        parent,
        trained_from_ms,
        trained_until_ms,
        json.loads(labels),
        json.loads(measures),
        created_ms,
    )


def activation_columns(activation: Activation) -> tuple[Any, ...]:
    """(version, before, at, by, reason, rollback)."""
    return (
        activation.version,
        activation.before,
        activation.at_ms,
        activation.by,
        activation.reason,
        activation.rollback,
    )


def activation_of(row: Sequence[Any]) -> Activation:
    """From (id, version, before, at, by, reason, rollback)."""
    id_, version, before, at_ms, by, reason, rollback = row
    return Activation(version, before, at_ms, by, reason, bool(rollback), id_)
