"""Which nodes' alerts are muted, by whom and until when, over both stores.

Scores, storing and learning go on while a node is muted: the service only exposes until when, and the shipped alert
rules stay quiet for so long. A mute bridges the time until the model has learnt from a label; it never lasts for more
than 7 days.

An entry is kept here. Where there is a TimescaleDB, `look`, every few seconds, brings what either lacks of the last
7 days to the other one, so that all replicas follow within 10 s and a restart forgets nothing; while the database is
away, the replica that was told mutes. A look costs a short query of each.

Raises `NotFound` where a node that is not muted shall no longer be, `DataError` for what cannot be meant, and
`StoreUnavailable` where an entry cannot be kept here.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import closing

from receiver.columns import NodeName
from receiver.errors import NodescoreError, NotFound
from receiver.store import Mute, RowReader
from receiver.store.mutes import MAX_MUTE_MS, following, latest

# Between two looks: with the time that they take, a replica follows within 10 s.
LOOK_SECONDS = 3.0

log = logging.getLogger(__name__)


class Mutes:
    """`here` opens the embedded file, `common` connects to the TimescaleDB; `show` is told until when nodes are muted.

    `mute` and `end` may be called from any thread, `look` from one.
    """

    def __init__(
        self,
        here: Callable[[], RowReader],
        common: Callable[[], RowReader] | None = None,
        show: Callable[[Mapping[NodeName, int]], None] = lambda _: None,
    ) -> None:
        self._here = here
        self._common = common
        self._show = show
        self._lock = threading.Lock()
        self._last: dict[NodeName, Mute] = {}  # entry of each node; replaced, never changed
        self._connected: RowReader | None = None
        self._fault = ""
        self._stopping = False
        self._look_now = threading.Event()

    def holding(self, now_ms: int) -> dict[NodeName, Mute]:
        """The mutes that hold now, by node."""
        return {name: mute for name, mute in self._last.items() if mute.holds(now_ms)}

    def history(self, since_ms: int) -> list[Mute]:
        """The entries that were made since then, in their order."""
        with closing(self._here()) as here:
            return here.mutes(since_ms)

    def mute(self, name: NodeName, for_ms: int, reason: str, author: str, now_ms: int) -> Mute:
        """Mute a node for so long from now on, whatever was said before."""
        with closing(self._here()) as here:
            self._learn(here.mutes(now_ms - MAX_MUTE_MS))
            entry = following(self._last.get(name), name, for_ms, reason, author, now_ms)
            here.add_mute(entry)
        self._learn([entry])
        self._look_now.set()
        return entry

    def end(self, name: NodeName, reason: str, author: str, now_ms: int) -> Mute:
        """End a mute now."""
        if name not in self.holding(now_ms):
            raise NotFound(f"node {name.node!r} is not muted")
        return self.mute(name, 0, reason, author, now_ms)

    def look(self, now_ms: int) -> None:
        """Know what either store has, and bring it to the other one."""
        since_ms = now_ms - MAX_MUTE_MS
        with closing(self._here()) as here:
            ours = here.mutes(since_ms)
            self._learn(ours)
            if self._common is None:
                return
            if self._connected is None:
                self._connected = self._common()
            theirs = self._connected.mutes(since_ms)
            self._learn(theirs)
            for reader, lacks in ((here, set(theirs) - set(ours)), (self._connected, set(ours) - set(theirs))):
                for mute in lacks:
                    reader.add_mute(mute)

    def run(self, now_ms: Callable[[], int]) -> None:
        """Look, again and again, until `stop`."""
        while not self._stopping:
            try:
                self.look(now_ms())
                self._fault = ""
            except NodescoreError as error:
                self._disconnect()
                if str(error) != self._fault:
                    log.warning("mutes are not exchanged with other replicas: %s", error)
                self._fault = str(error)
            self._look_now.wait(LOOK_SECONDS)
            self._look_now.clear()
        self._disconnect()

    def stop(self) -> None:
        """Have `run` return soon."""
        self._stopping = True
        self._look_now.set()

    def _learn(self, entries: list[Mute]) -> None:
        with self._lock:
            last = latest([*self._last.values(), *entries])
            if last != self._last:
                self._last = last
                self._show({name: mute.until_ms for name, mute in last.items() if mute.holds(0)})

    def _disconnect(self) -> None:
        if self._connected is not None:
            self._connected.close()
            self._connected = None
