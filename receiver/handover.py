"""A node that another replica has scored until now: its state is taken over from the store that both feed.

In: rows that are about to be scored, and the states that they would be scored with. Out: those states as the other
replica left them, moved on over the rows that it scored since. Raises nothing: where the store does not answer, a node
goes on with what is known here, and the store is left alone for a while. Costs one query for all strange nodes of a
flush, and nothing where there is none.

A node is strange that has no state here, or none since `STRANGE_AFTER_MS`: it may have been elsewhere meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from receiver.columns import NodeName, Rows
from receiver.detector import NodeStates, Snapshot
from receiver.errors import NodescoreError
from receiver.store import StateReader

log = logging.getLogger(__name__)

# Longer than a scrape that was missed or a service that was restarted, shorter than anybody has another's node.
STRANGE_AFTER_MS = 60_000
# Between two tries where the store does not answer: each may hold up a flush until it has timed out.
RETRY_MS = 30_000
# A state is a minute old, or as much more as its replica's outbox is behind; an old one is of a node that was silent.
CATCH_UP_MS = 3_600_000


class Handover:
    """The way to the common store; used by one thread."""

    def __init__(self, connect: Callable[[], StateReader]) -> None:
        self._connect = connect
        self._store: StateReader | None = None
        self._not_before_ms = 0

    def take_over(self, states: NodeStates, rows: Rows, names: Mapping[int, NodeName], now_ms: int) -> None:
        """Bring the states of strange nodes up to these rows; `names` has the name of every node id."""
        gap_ms = rows.time_ms - states.last_ms(rows.node)
        strange = np.unique(rows.node[gap_ms > STRANGE_AFTER_MS])
        if not len(strange) or now_ms < self._not_before_ms:
            return
        try:
            if self._store is None:
                self._store = self._connect()
            self._fetch(self._store, states, {names[node]: node for node in strange.tolist()}, int(rows.time_ms.max()))
        except NodescoreError as error:
            log.warning("nodes that another replica may have had go on with what is known here: %s", error)
            self.close()
            self._not_before_ms = now_ms + RETRY_MS

    def close(self) -> None:
        """Give up the connection."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def _fetch(self, store: StateReader, states: NodeStates, wanted: dict[NodeName, int], until_ms: int) -> None:
        ours = {theirs: wanted[name] for theirs, name in store.nodes().items() if name in wanted}
        left = store.load_states(states.detector.info.version, list(ours))
        node = np.array([ours[theirs] for theirs in left.node.tolist()], np.int32)
        newer = left.time_ms > states.last_ms(node)
        if not newer.any():
            return
        states.restore(Snapshot(left.model_version, node[newer], left.time_ms[newer], left.state[newer]))
        since_ms = max(int(left.time_ms[newer].min()) + 1, until_ms - CATCH_UP_MS)
        for past in store.read_scores(since_ms, until_ms, left.node[newer].tolist()):
            by_our_ids = np.array([ours[theirs] for theirs in past.node.tolist()], np.int32)
            states.score(replace(past, node=by_our_ids).rows())
