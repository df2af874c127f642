"""The store that the settings name, opened for reading and for labels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from receiver.catalogue import Catalogue
from receiver.settings import Settings
from receiver.store import RowReader


@contextmanager
def reading(settings: Settings, catalogue: Catalogue) -> Iterator[RowReader]:
    """Open the TimescaleDB that is configured, else the embedded file of the data folder; closed at the end."""
    reader: RowReader
    if settings.store is not None:
        from receiver.store.timescale import TimescaleStore

        reader = TimescaleStore.connect(settings.store.get_secret_value(), catalogue)
    else:
        from receiver.store.reader import EmbeddedReader

        reader = EmbeddedReader.open(settings.embedded_path, catalogue)
    try:
        yield reader
    finally:
        reader.close()
