"""An outbox between two embedded files, and one that dies on the way."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

from receiver.columns import NodeName
from receiver.errors import StoreUnavailable
from receiver.store import Finished, RowStore
from receiver.store.embedded import EmbeddedStore
from receiver.store.outbox import Outbox
from tests.store.data import CATALOGUE, DAY_MS, HOUR_MS, NAN, T0, finished, names, scores_of

PUMP = NodeName("east", "pump-1")
_numbers = itertools.count()


class Pair:
    """A source file, a target (an embedded store too: the outbox knows only the protocol), and the outbox between."""

    def __init__(self, folder: Path, keep_ms: int = HOUR_MS) -> None:
        self.folder = folder / f"pair{next(_numbers)}"
        self.source = EmbeddedStore.open(self.folder / "source.db", CATALOGUE, "normal")
        self.source.add_nodes(names(3))
        self.target: EmbeddedStore | None = None
        self.connect: Callable[[], RowStore] = self.open_target
        self.outbox = Outbox(self.folder / "source.db", CATALOGUE, lambda: self.connect(), keep_ms, 30 * DAY_MS)

    def open_target(self) -> RowStore:
        self.target = EmbeddedStore.open(self.folder / "target.db", CATALOGUE, "normal")
        return self.target

    def drain(self, now_ms: int = T0) -> int:
        moved = 0
        while step := self.outbox.forward_once(now_ms):
            moved += step
        return moved

    def close(self) -> None:
        self.outbox.close()
        self.source.close()


def flush(*times: int) -> Finished:
    """A row and a score for pump 1 at each of these times."""
    return finished(
        [(1, time_ms, (time_ms - T0, NAN, 3)) for time_ms in times],
        scores=scores_of(*((1, time_ms, 0.5, (1, NAN, 3), (NAN,) * 3) for time_ms in times)),
    )


class DiesAfterCommit(EmbeddedStore):
    """Commits, and does not live to say so."""

    def write(self, finished: Finished) -> None:
        super().write(finished)
        raise StoreUnavailable("cut off after the commit")
