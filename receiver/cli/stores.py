"""The store that the settings name, opened for reading, for labels and for mutes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from receiver.catalogue import Catalogue
from receiver.columns import NodeName
from receiver.errors import DataError
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
        from receiver.store.embedded import EmbeddedReader

        reader = EmbeddedReader.open(settings.embedded_path, catalogue)
    try:
        yield reader
    finally:
        reader.close()


def named(names: list[NodeName], node: str, cluster: str | None) -> NodeName:
    """The full name of the node that two options say. Raises `DataError`."""
    found = [name for name in names if name.node == node and cluster in (None, name.cluster)]
    if not found:
        known = ", ".join(name.node for name in names[:10]) or "none"
        raise DataError(f"--node {node}: the store has no such node; it has: {known}{' …' if len(names) > 10 else ''}")
    if len(found) > 1:
        clusters = ", ".join(repr(name.cluster) for name in found)
        raise DataError(f"--node {node}: is in several clusters; say --cluster, one of {clusters}")
    return found[0]
