"""What `check` examines: each function gives the thing and one line about it, or raises; none changes anything."""

from __future__ import annotations

import os
from pathlib import Path

from receiver.catalogue import Catalogue
from receiver.errors import ConfigurationError
from receiver.settings import Settings


def settings(loaded: Settings) -> tuple[Settings, str]:
    """Read already; says what they come to."""
    return loaded, f"listen on {loaded.listen}, data in {loaded.data_dir}"


def catalogue(loaded: Catalogue) -> tuple[Catalogue, str]:
    """Read already; says what it has."""
    return loaded, f"{loaded.name}: {len(loaded.features)} features of {len(loaded.terms_of_metric)} metrics"


def model(of: Settings, wanted: Catalogue) -> tuple[None, str]:
    """Load the model as `serve` would, as far as this can be known without asking a server."""
    from receiver import registry
    from receiver.detector import Detector

    if of.store is None:
        info = registry.in_use(of, wanted).info
    else:
        info = (Detector.load(of.model, wanted.feature_names) if of.model else registry.first_model(wanted)).info
    return None, f"{info.path}: {info.detector} {info.version}, made {info.created}"


def embedded(of: Settings, wanted: Catalogue) -> tuple[None, str]:
    """The data folder can be written, and the file in it, if there is one, is a store of ours."""
    from receiver.store.embedded import EmbeddedReader

    folder = of.data_dir
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise ConfigurationError(f"data folder {folder}: {there} is not a folder that can be written")
    path = of.embedded_path
    if not path.exists():
        return None, f"{path} will be made"
    reader = EmbeddedReader.open(path, wanted)
    try:
        return None, f"{path}: {len(reader.nodes())} nodes, {path.stat().st_size / 1e6:.1f} MB"
    finally:
        reader.close()


def timescale(dsn: str) -> tuple[None, str]:
    """The server answers and is what `serve` needs."""
    from receiver.store.timescale import probe

    return None, probe(dsn)


def web_config(path: Path) -> tuple[None, str]:
    """The file, and all that it names, can be used."""
    from receiver.web.access import check

    return None, f"{path}: {check(path)}"
