"""What this replica shall score with, as the store of versions says; a copy of it is kept here.

`first` gives the model to start with: the active one; where the store does not answer or its file is bad, the last one
that was used here; on a first start the one that ships. `poll` says whether another one has become active, `taken` that
it is in use now, so that its copy replaces the one before. While the active one is bad, `poll` raises `ModelError` each
time, having looked at it once; what the store raises it passes on, and opens the store anew the next time.

A damaged file of versions is set aside, once in a process, and a new one is made: it has the model that was used last,
active, and the one that ships. Other versions have to be published again.

Used by one thread. Costs one short query a poll, and to read the file of versions once.
"""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

from receiver import registry
from receiver.catalogue import Catalogue
from receiver.detector import Detector
from receiver.errors import ConfigurationError, DataError, ModelError, NodescoreError, StoreDamaged
from receiver.settings import Settings
from receiver.store import ModelStore, Shadowing
from receiver.store.embedded.models import EmbeddedModels, set_aside

# The author of the activation in a new file of versions: an operator's choice may be behind it, so it does not give way
# to the model that a newer Nodescore ships.
KEPT = "nodescore, of its copy"

log = logging.getLogger(__name__)


class Follower:
    """Of the store that the settings name."""

    def __init__(self, settings: Settings, catalogue: Catalogue) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._store: ModelStore | None = None
        self._offered = False
        self._set_aside = False
        self._in_use = ""  # version
        self._bad: tuple[str, ModelError] | None = None  # the version that was looked at and refused
        self._file = b""  # of what `poll` gave last
        self._folder = settings.data_dir / "model-in-use"

    def first(self, now_ms: int) -> Detector:
        """The model to start with. Raises `ModelError` where there is none that fits."""
        detector = None
        try:
            detector = self.poll(now_ms)
        except NodescoreError as error:
            log.warning("the active model is not to be had: %s", error)
        if detector is not None:
            self.taken(detector)
            return detector
        kept = self._kept()
        detector = kept[0] if kept else registry.first_model(self._catalogue)
        self._in_use = detector.info.version
        return detector

    def poll(self, now_ms: int) -> Detector | None:
        """The model that has become active; None where it is the one in use."""
        try:
            if self._store is None:
                self._store = registry.open_store(self._settings, self._catalogue)
            return self._look(self._store, now_ms)
        except ModelError:
            raise
        except NodescoreError as error:
            self.close()
            if not isinstance(error, StoreDamaged) or self._set_aside:
                raise
            self._make_way(error, now_ms)
            return None

    def taken(self, detector: Detector) -> None:
        """It is in use now."""
        self._in_use = detector.info.version
        try:
            _keep(self._folder, self._file, detector.info.sha256)
        except OSError as error:
            log.warning("no copy of model %s is kept for the next start: %s", self._in_use, error)
        self._file = b""

    def shadowing(self) -> Shadowing | None:
        """What the store says of a version beside the one in use. Raises what the store raises; asks after `poll`."""
        return self._store.shadowing() if self._store is not None else None

    def load(self, version: str) -> Detector:
        """A version that is to score beside the one in use. Raises `ModelError`, `DataError`, `StoreUnavailable`."""
        with registry.opened(self._settings, self._catalogue) as store:
            return registry.load(store, self._catalogue, version)[0]

    def close(self) -> None:
        """Give up the store; `poll` opens it again."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def _look(self, store: ModelStore, now_ms: int) -> Detector | None:
        if not self._offered:
            if isinstance(store, EmbeddedModels):
                store.check()
                self._offer_kept(store, now_ms)
            registry.offer_shipped(store, self._catalogue, now_ms)
            self._offered = True
        last = store.activations(1)
        if not last or last[0].version == self._in_use:
            self._bad = None
            return None
        version = last[0].version
        if self._bad is None or self._bad[0] != version:
            self._bad = None
            try:
                detector, self._file = registry.load(store, self._catalogue, version)
            except (ModelError, DataError) as error:
                self._bad = version, ModelError(str(error))
            else:
                return detector
        raise self._bad[1]

    def _make_way(self, error: StoreDamaged, now_ms: int) -> None:
        """Have the next look make a new file of versions."""
        self._set_aside = True
        try:
            damaged = set_aside(self._settings.models_path, now_ms)
        except OSError as reason:
            raise StoreDamaged(f"{error}; it cannot be set aside: {reason}") from error
        self._offered = False
        log.error("%s; it is set aside as %s, and its versions have to be published again", error, damaged)

    def _offer_kept(self, store: ModelStore, now_ms: int) -> None:
        """Where no version was ever active, publish and activate the one that was used last."""
        kept = None if store.activations(1) else self._kept()
        if kept is None or registry.ships(kept[1], self._catalogue):
            return
        detector, model = kept
        version = registry.publish(store, self._catalogue, model, now_ms, name=detector.info.path)
        reason = "it was used here last, and the file of versions is new"
        registry.activate(store, self._catalogue, version.version, by=KEPT, reason=reason, now_ms=now_ms)

    def _kept(self) -> tuple[Detector, bytes] | None:
        """The copy of the model that was used last, where it is whole."""
        for path in sorted(self._folder.glob("*.onnx"), key=lambda path: path.stat().st_mtime_ns, reverse=True):
            try:
                model = path.read_bytes()
                if hashlib.sha256(model).hexdigest() != path.stem:
                    raise ModelError(f"model {path}: it has changed since it was written")
                return Detector.parse(model, path, self._catalogue.feature_names), model
            except (OSError, ConfigurationError) as error:
                log.warning("the copy of the model that was in use is not used: %s", error)
        return None


def _keep(folder: Path, model: bytes, sha256: str) -> None:
    """Put a copy into the folder, whole and on the disk, and delete all others."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{sha256}.onnx"
    if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        draft = folder / "draft"
        with draft.open("wb") as file:
            file.write(model)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    for other in folder.iterdir():
        if other != path:
            other.unlink()
