"""Versions of the model: publish, list, activate, roll back, score in the shadow, and load one that was checked.

Everything goes through a `ModelStore`: the TimescaleDB that is configured, else a file in the data folder. A version is
*active* where the last entry of the log names it, in the *shadow* where it scores beside that one to be looked at,
*retired* where an earlier entry names it, else a *candidate*. Rolling back returns to the version that was active
before, and again to the one before that.

A file is checked when it is published and each time before it is used: by its hash, by the contract of
`receiver.detector`, and for the catalogue's features. Raises `ModelError` for one that fails, `DataError` for a version
that there is not, and what the store raises. Costs what reading and loading the file costs, some tens of milliseconds.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any, Literal, NamedTuple

from receiver.catalogue import Catalogue
from receiver.detector import Detector
from receiver.detector.model import read
from receiver.errors import Conflict, DataError, ModelError
from receiver.settings import Settings
from receiver.store import Activation, ModelStore, ModelVersion, Shadowing

State = Literal["candidate", "shadow", "active", "retired"]

# By the name of the catalogue that they are made for, in `models/shipped`.
SHIPPED = {"node": "node24.onnx", "application": "application.onnx", "pod": "pod.onnx"}
# The author of activations that nobody has asked for: they give way to the model that a newer Nodescore ships.
ITSELF = "nodescore"
# The oldest go, but never one that is in use or the next to roll back to. Two years of weekly retraining.
MAX_VERSIONS = 100
# Long enough for a model of 32 MiB from a server far away.
PATIENCE_SECONDS = 10
# Others that enter the log at the same moment; each try sees what they did.
TRIES = 10

log = logging.getLogger(__name__)


class Listed(NamedTuple):
    """A version and what it is now."""

    version: ModelVersion
    state: State


def shipped_model(catalogue_name: str = "node") -> Path:
    """The model that a first start scores with. Raises `ModelError` where none ships for this catalogue."""
    if catalogue_name not in SHIPPED:
        raise ModelError(f"no model ships for the catalogue {catalogue_name!r}: train one, and name it with --model")
    return Path(str(resources.files("models").joinpath("shipped", SHIPPED[catalogue_name])))


def first_model(catalogue: Catalogue) -> Detector:
    """What ships for this catalogue, checked."""
    return Detector.load(shipped_model(catalogue.name), catalogue.feature_names)


def ships(model: bytes, catalogue: Catalogue) -> bool:
    """True where this file is what ships for the catalogue."""
    return catalogue.name in SHIPPED and model == shipped_model(catalogue.name).read_bytes()


@contextmanager
def opened(settings: Settings, catalogue: Catalogue) -> Iterator[ModelStore]:
    """The store of versions that these settings name; closed at the end."""
    store = open_store(settings, catalogue)
    try:
        yield store
    finally:
        store.close()


def open_store(settings: Settings, catalogue: Catalogue) -> ModelStore:
    """The same, to be closed by the caller."""
    if settings.store is not None:
        from receiver.store.timescale import TimescaleModels

        return TimescaleModels.connect(settings.store.get_secret_value(), catalogue, PATIENCE_SECONDS)
    from receiver.store.embedded import EmbeddedModels

    return EmbeddedModels.open(settings.models_path, catalogue.name)


def listed(store: ModelStore) -> list[Listed]:
    """All versions, in the order in which they were published."""
    entries = store.activations()
    used = {entry.version for entry in entries} | {entry.before for entry in entries}
    active = entries[-1].version if entries else ""
    in_shadow = shadowed(store)

    def state(version: str) -> State:
        if version == active:
            return "active"
        if version == in_shadow:
            return "shadow"
        return "retired" if version in used else "candidate"

    return [Listed(version, state(version.version)) for version in store.versions()]


def publish(
    store: ModelStore,
    catalogue: Catalogue,
    model: bytes,
    now_ms: int,
    *,
    name: Path,
    parent: str = "",
    labels: Mapping[str, int] | None = None,
    measures: Mapping[str, Any] | None = None,
) -> ModelVersion:
    """Check a file and keep it as a candidate; `name` is for errors. One that is there already is returned as it is."""
    info = Detector.parse(model, name, catalogue.feature_names).info
    data = info.provenance.get("data")
    version = ModelVersion(
        version=info.version,
        sha256=info.sha256,
        size_bytes=len(model),
        card={
            "detector": info.detector,
            "created": info.created,
            "features": list(info.feature_names),
            "provenance": dict(info.provenance),
        },
        parent=parent,
        trained_from_ms=_whole(data, "from_ms"),
        trained_until_ms=_whole(data, "to_ms"),
        labels=labels or {},
        measures=measures or {},
        created_ms=now_ms,
    )
    try:
        store.add(version, model)
    except DataError:
        there = next((one for one in store.versions() if one.sha256 == version.sha256), None)
        if there is None:  # its name is another file's
            raise
        return there
    needed = trail(store.activations())[-2:]
    versions = [one.version for one in store.versions()]
    removable = [one for one in versions if one not in (*needed, shadowed(store), version.version)]
    for oldest in removable[: max(0, len(versions) - MAX_VERSIONS)]:
        store.remove(oldest)
    return version


def activate(
    store: ModelStore,
    catalogue: Catalogue,
    version: str,
    *,
    by: str,
    reason: str,
    now_ms: int,
    after_id: int | None = None,
) -> Activation:
    """Have all replicas go on with this version; the entry of the log, an earlier one where it is active already.

    Raises `Conflict` where the log's last entry is no longer that with the id `after_id` (0: none).
    """
    load(store, catalogue, version)
    for _ in range(TRIES):
        entries = store.activations()
        last = entries[-1] if entries else None
        _check_last(entries, after_id)
        if last is not None and last.version == version:
            return last
        before = "" if last is None else last.version
        entry = Activation(version, before, now_ms, by, reason, rollback=False)
        if store.append(entry, 0 if last is None else last.id):
            _leave_shadow(store, entry)
            return entry
    raise DataError(f"model {version}: others activate models at this moment; try again")


def roll_back(
    store: ModelStore, catalogue: Catalogue, *, by: str, reason: str, now_ms: int, after_id: int | None = None
) -> Activation:
    """Have all replicas go back to the version that was active before; the entry of the log. `after_id` as above."""
    for _ in range(TRIES):
        entries = store.activations()
        _check_last(entries, after_id)
        earlier = previous(entries, {version.version for version in store.versions()})
        if not earlier:
            raise DataError("models: there is no version to roll back to")
        load(store, catalogue, earlier)
        entry = Activation(earlier, entries[-1].version, now_ms, by, reason, rollback=True)
        if store.append(entry, entries[-1].id):
            _leave_shadow(store, entry)
            return entry
    raise DataError("models: others activate models at this moment; try again")


def _check_last(entries: Sequence[Activation], after_id: int | None) -> None:
    if after_id is not None and after_id != (entries[-1].id if entries else 0):
        raise Conflict(f"meanwhile {entries[-1].by} has activated {entries[-1].version}: look again")


def shadow(store: ModelStore, catalogue: Catalogue, version: str, *, by: str, reason: str, now_ms: int) -> Shadowing:
    """Have this version score beside the active one on all replicas, instead of another that did; the log's entry."""
    load(store, catalogue, version)
    entries = store.activations(1)
    if entries and entries[-1].version == version:
        raise DataError(f"model {version}: is active; only another one can score in its shadow")
    entry = Shadowing(version, now_ms, by, reason)
    store.append_shadowing(entry)
    return entry


def end_shadow(store: ModelStore, version: str, *, by: str, reason: str, now_ms: int) -> Shadowing:
    """Have this version score in the shadow no more; the log's entry."""
    if not version or shadowed(store) != version:
        raise DataError(f"model {version or '(none)'}: does not score in the shadow")
    entry = Shadowing("", now_ms, by, reason)
    store.append_shadowing(entry)
    return entry


def shadowed(store: ModelStore) -> str:
    """The version that scores beside the active one; "" where none does."""
    entry = store.shadowing()
    return entry.version if entry else ""


def _leave_shadow(store: ModelStore, activation: Activation) -> None:
    """Once a version is active it has left the shadow, also for the time when it no longer is."""
    if shadowed(store) == activation.version:
        store.append_shadowing(Shadowing("", activation.at_ms, activation.by, "it is active"))


def previous(entries: Sequence[Activation], there: Collection[str]) -> str:
    """The version that rolling back goes to, of those that are still there; "" where there is none."""
    earlier = [version for version in trail(entries) if version in there and version != entries[-1].version]
    return earlier[-1] if earlier else ""


def trail(entries: Sequence[Activation]) -> list[str]:
    """The versions that rolling back goes through, the active one last."""
    versions: list[str] = []
    for entry in entries:
        if entry.rollback:
            while versions and versions[-1] != entry.version:
                versions.pop()
        elif not versions and entry.before:  # the log's beginning was not read
            versions.append(entry.before)
        if not versions or versions[-1] != entry.version:
            versions.append(entry.version)
    return versions


def load(store: ModelStore, catalogue: Catalogue, version: str) -> tuple[Detector, bytes]:
    """The checked model of a version, and its file."""
    found = next((one for one in store.versions() if one.version == version), None)
    model = store.model(version) if found is not None else None
    if found is None or model is None:
        raise DataError(f"model {version}: there is no such version; `nodescore models list` shows them")
    if hashlib.sha256(model).hexdigest() != found.sha256:
        raise ModelError(f"model {version}: its file has changed since it was published: another hash; add it again")
    detector = Detector.parse(model, Path(version), catalogue.feature_names)
    if detector.info.version != version:
        raise ModelError(f"model {version}: its file names itself {detector.info.version}")
    return detector, model


def in_use(settings: Settings, catalogue: Catalogue) -> Detector:
    """What a service of these settings scores with: the file that is set, the active version, or what ships."""
    if settings.model is None and (settings.store is not None or settings.models_path.exists()):
        with opened(settings, catalogue) as store:
            entries = store.activations(1)
            if entries:
                return load(store, catalogue, entries[0].version)[0]
    return Detector.load(settings.model, catalogue.feature_names) if settings.model else first_model(catalogue)


def for_tables(settings: Settings, catalogue: Catalogue) -> Path:
    """The model that a table is held against, which may have come from anywhere: the one that is set, or what ships."""
    return settings.model or shipped_model(catalogue.name)


def offer_shipped(store: ModelStore, catalogue: Catalogue, now_ms: int) -> None:
    """Publish the model that ships, where it fits; activate it where nothing is active but what once shipped."""
    try:
        path = shipped_model(catalogue.name)
        shipped = publish(store, catalogue, read(path), now_ms, name=path)
    except (ModelError, DataError) as error:  # none ships for this catalogue
        log.info("the model that ships is not offered: %s", error)
        return
    entries = store.activations()
    chosen = bool(entries) and entries[-1].by != ITSELF
    if not chosen and shipped.version not in {entry.version for entry in entries}:
        activate(store, catalogue, shipped.version, by=ITSELF, reason="it ships with Nodescore", now_ms=now_ms)


def _whole(data: object, name: str) -> int | None:
    value = data.get(name) if isinstance(data, dict) else None
    return value if type(value) is int and abs(value) < 2**53 else None
